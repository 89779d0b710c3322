#include "netdisk.h"

#include <stddef.h>
#include <sys/vfs.h>

bool disk_is_network(const char *path)
{
	static const unsigned long types[] = {0x6969 /* NFS */, 0x517b /* SMB */, 0xfe534d42 /* SMB2 */,
		0xff534d42 /* CIFS */, 0x0bd00bd0 /* Lustre */, 0x65735546 /* FUSE */,
		0x47504653 /* GPFS */, 0x5346414f /* AFS */, 0x6b414653 /* kAFS */,
		0x01021997 /* 9p */, 0x00c36400 /* Ceph */, 0x19830326 /* BeeGFS */,
		0xaad7aaea /* PanFS */, 0x20030528 /* OrangeFS */, 0x01161970 /* GFS2 */,
		0x7461636f /* OCFS2 */, 0x73757245 /* Coda */};
	struct statfs fs;

	if (statfs(path, &fs) < 0)
		return false;
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (((unsigned long)fs.f_type & 0xffffffffUL) == types[i])
			return true;
	return false;
}
