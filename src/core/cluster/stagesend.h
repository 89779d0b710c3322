/* A tar stream to a command on the cluster, and the SHA-256 of all that went into it. */
#ifndef SLURMOUNT_STAGESEND_H
#define SLURMOUNT_STAGESEND_H

#include <openssl/evp.h>

#include "command.h"
#include "stagetree.h"

/* The longest silence of a line on which bytes move. */
#define STAGE_SILENCE_MS 60000

struct stage_sender {
	struct command *command;
	struct strbuf pending; /* headers and small content, sent together */
	struct strbuf sums;    /* what sha256sum reads over there */
	EVP_MD_CTX *hash;
	char *buffer;
};

void stage_sender_init(struct stage_sender *s, struct command *command);
void stage_sender_release(struct stage_sender *s);
/* One entry under `prefix` and its path.  0; remote.h's errors; or what reading it gave, with a sentence
 * in `why`. */
int stage_send_entry(struct stage_sender *s, const struct stage_entry *entry, const char *prefix,
	struct strbuf *why);
/* A regular file's content under a whole name. */
int stage_send_content(struct stage_sender *s, const struct stage_entry *entry, const char *name,
	mode_t mode, struct strbuf *why);
int stage_send_folder(struct stage_sender *s, const char *name, mode_t mode);
/* SHA256SUMS of all that was sent, and the end of the stream. */
int stage_send_end(struct stage_sender *s);
/* Sends what is pending. */
int stage_send_flush(struct stage_sender *s);

#endif
