if [ -n "$title" ]; then
	printf '# %s\n' "$title" > profile.dat
fi
# Names of `multiple` files hold no blanks or wildcards, so they may stand without quotes.
awk -f heat.awk heat.ini $sources >> profile.dat
