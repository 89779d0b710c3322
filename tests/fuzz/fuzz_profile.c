/* The cluster profile: any bytes are taken or refused in words. */
#include "cleanup.h"
#include "fuzz.h"
#include "profile.h"
#include "strbuf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	struct profile *profile = profile_new();

	int r = profile_parse(profile, (const char *)data, size, "profile.ini", &why);
	MUST((r == 0) == (why.len == 0));
	must_be_readable(why.data, why.len);
	MUST(profile->sync_interval > 0 && profile->sync_max_interval > 0);
	MUST(profile->settle >= 0 && profile->settle_unnamed >= 0 && profile->submit_rate >= 0);
	profile_free(profile);
	return 0;
}
