/* The logs of NAMD, LAMMPS and GROMACS, in pieces of any size (the first byte) and with a gap. */
#include <string.h>

#include "cleanup.h"
#include "fuzz.h"
#include "progress.h"
#include "strbuf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct progress_reader reader;

	if (!size)
		return 0;
	size_t piece = 1 + data[0];
	bool gap = data[0] % 3 == 0;
	progress_reader_init(&reader);
	for (size_t at = 1; at < size; at += piece) {
		struct strbuf text AUTO_STRBUF = STRBUF_INIT;

		progress_feed(&reader, (const char *)data + at, size - at < piece ? size - at : piece);
		if (gap && at > size / 2) {
			progress_gap(&reader);
			gap = false;
		}
		progress_render(&reader.progress, data[0] / 7.0, data[0] % 2, &text);
		must_be_readable(text.data, text.len);
		MUST(text.len < 4096);
	}
	return 0;
}
