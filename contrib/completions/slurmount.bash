# bash completion for slurmount: source it, or put it into /usr/share/bash-completion/completions/slurmount.

# The hosts that ssh knows by name, and those that have a profile.
_slurmount_hosts() {
    local profiles=${XDG_CONFIG_HOME:-$HOME/.config}/slurmount profile
    sed -n 's/^[[:space:]]*[Hh]ost[[:space:]=]\+//p' ~/.ssh/config 2> /dev/null | tr ' \t' '\n\n' |
        grep -v '[*?!]'
    for profile in "$profiles"/*.ini; do
        [ -e "$profile" ] && basename "$profile" .ini
    done
    echo local
}

# Where slurmount is mounted.
_slurmount_mounts() { sed -n 's/^[^ ]* \([^ ]*\) fuse\.slurmount .*/\1/p' /proc/self/mounts; }

_slurmount() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} word words=0
    local options='-c --config= -o --check --login -f --foreground -d --debug -h --help -V --version'
    local keys='host= user= port= identity= known_hosts= jump= scratch= project= setup= submit_rate='
    keys+=' work_timeout= interval= max_interval= settle= settle_unnamed= keep= streams= partition= account= qos='
    COMPREPLY=()
    case $prev in
    -c | --config | =)
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "${cur#=}")
        return
        ;;
    -o)
        compopt -o nospace
        mapfile -t COMPREPLY < <(compgen -W "$keys allow_other xattr" -- "$cur")
        return
        ;;
    --login)
        mapfile -t COMPREPLY < <(compgen -W "$(_slurmount_mounts)" -- "$cur")
        return
        ;;
    esac
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
        return
    fi
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        [[ $word == -* ]] || words=$((words + 1))
    done
    if [ "$words" -eq 0 ]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_slurmount_hosts)" -- "$cur")
    else
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
    fi
}
complete -F _slurmount slurmount
