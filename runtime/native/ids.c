/* ids.c: who agent, shells and zygotes are in their zone. */
#define _GNU_SOURCE
#include "oncebox.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

void ids_become_administrator(void) {
  /* No id means a capability here, neither by execve nor by a change of ids: what we have is what we keep and hand on.
   * Inherited by everything in the zone. */
  if (prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NO_SETUID_FIXUP) < 0) die("cannot set the secure bits: %m");
  if (setgroups(0, NULL) < 0) die("cannot drop the launcher's groups: %m");
  if (setresgid(ADMINISTRATOR_ID, ADMINISTRATOR_ID, ADMINISTRATOR_ID) < 0 ||
      setresuid(ADMINISTRATOR_ID, ADMINISTRATOR_ID, ADMINISTRATOR_ID) < 0)
    die("cannot become the zone's administrator: %m");
  /* A change of ids clears it, and without it nobody may join our shells. */
  if (prctl(PR_SET_DUMPABLE, 1) < 0) die("cannot become dumpable: %m");
}

void ids_make_files_as(uint32_t id) {
  setfsgid(id);
  setfsuid(id);
  /* Neither call says whether it worked; asking for what no one is only reads. */
  if ((uint32_t)setfsuid((uid_t)-1) != id || (uint32_t)setfsgid((gid_t)-1) != id) die("cannot make files as %u", id);
  if (prctl(PR_SET_DUMPABLE, 1) < 0) die("cannot become dumpable: %m");
}

void ids_execute_without_capabilities(void) {
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++)
    if (prctl(PR_CAPBSET_DROP, capability) < 0) die("cannot empty the bounding set: %m");
}

/* To join shells, and to become their users. No CAP_SYS_PTRACE: whoever has less than the agent may not look into it. */
static const int zygote_capabilities[] = {CAP_SYS_ADMIN, CAP_SYS_CHROOT, CAP_SETUID, CAP_SETGID, CAP_SETPCAP};

void ids_become_zygote(void) {
  uint64_t kept = 0;
  for (size_t i = 0; i < sizeof(zygote_capabilities) / sizeof(zygote_capabilities[0]); i++)
    kept |= 1ull << zygote_capabilities[i];
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++)
    if ((kept & 1ull << capability) == 0 && prctl(PR_CAPBSET_DROP, capability) < 0)
      die("cannot drop a capability from the zygote's bounding set: %m");
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2];
  for (int half = 0; half < 2; half++)
    data[half].effective = data[half].permitted = data[half].inheritable = (uint32_t)(kept >> 32 * half);
  if (syscall(SYS_capset, &header, data) < 0) die("cannot drop the zygote's capabilities: %m");
  for (int capability = 0; capability < 64; capability++)
    if ((kept & 1ull << capability) != 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) < 0)
      die("cannot hand the zygote its capabilities: %m");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) die("cannot set no_new_privs: %m");
}
