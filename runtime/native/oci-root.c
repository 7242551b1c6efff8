/*
 * oci-root.c: what pid 1 of an OCI sandbox, and the runtime with it, have for a root: the runtime's program, what it
 * stands on of the host (runc needs libraries; runsc nothing), the image's layers and the sandbox's root above them. All
 * of it is read-only but the runtime's own state and the sandbox's writable layer, which are tmpfs.
 */
#define _GNU_SOURCE
#include "oci.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define JOB_SIZE "size=104857600,nr_inodes=8"  /* a frame, and the file it becomes */
#define RESULT_SIZE "size=8388608,nr_inodes=64" /* more than a result may be, so that one which is too large can be told */

static void (*oci_fail)(const char *format, ...);

/* As a mount that is in no table yet, wherever the operator has put it; the file itself, if it is a link. */
static int take_runtime(enum oci_runtime runtime) {
  static const char *const directories[] = {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"};
  const char *name = runtime == OCI_RUNC ? "runc" : "runsc";
  for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
    char path[64];
    snprintf(path, sizeof(path), "%s/%s", directories[i], name);
    int tree = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (tree >= 0) return tree;
    if (errno != ENOENT) oci_fail("cannot take %s into the sandbox: %m", path);
  }
  oci_fail("this node has no %s: install it, and start oncebox again", name);
  return -1;
}

static void mount_tmpfs(const char *path, const char *options) {
  root_make_dir(path);
  if (mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0) oci_fail("cannot mount %s: %m", path);
}

/* runc asks where cgroups are before it finds that it may not change any, and that it need not. Those of the sandbox are
 * made and set already, by others. */
static void mount_cgroups(const struct cgroup_layout *layout) {
  const char *path = ROOT_PLACE "/sys/fs/cgroup";
  const unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
  root_make_dir(ROOT_PLACE "/sys");
  root_make_dir(ROOT_PLACE "/sys/fs");
  root_make_dir(path);
  if (layout->version == 2) {
    if (mount("cgroup2", path, "cgroup2", flags, NULL) < 0) oci_fail("cannot mount the cgroups: %m");
    return;
  }
  /* Of v1 it insists on this one. */
  mount_tmpfs(path, "mode=0755,size=64k,nr_inodes=8");
  root_make_dir(ROOT_PLACE "/sys/fs/cgroup/devices");
  if (mount("cgroup", ROOT_PLACE "/sys/fs/cgroup/devices", "cgroup", flags, "devices") < 0)
    oci_fail("cannot mount the cgroups of devices: %m");
}

static void write_config(const char *config) {
  root_make_dir(ROOT_PLACE "/bundle");
  int fd = open(ROOT_PLACE "/bundle/config.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0 || write_all(fd, config, strlen(config)) < 0) oci_fail("cannot write config.json: %m");
  close(fd);
}

/* In a process of its own, which shares our mounts: its failures end it. */
static void mount_shell(int tmpfs, const struct sandbox_spec *spec) {
  int ready[2];
  char text[256];
  if (pipe2(ready, O_CLOEXEC) < 0) oci_fail("cannot make a pipe: %m");
  pid_t pid = fork();
  if (pid < 0) oci_fail("cannot fork: %m");
  if (pid == 0) {
    close(ready[0]);
    shell_mount_root(ready[1], tmpfs, spec);
    _exit(0);
  }
  close(ready[1]);
  ssize_t got = read(ready[0], text, sizeof(text) - 1);
  close(ready[0]);
  int status = 0;
  if (waitpid(pid, &status, 0) < 0 || status != 0) {
    text[got > 0 ? got : 0] = '\0';
    errno = 0;
    oci_fail("%s", got > 0 ? text : "the sandbox's root could not be put together");
  }
}

/* Through an overlay: a mount of the directory itself would say in every sandbox's mount table where on the host it lies. */
static void mount_platform(int platform) {
  root_make_dir(ROOT_PLACE "/none");
  root_make_dir(ROOT_PLACE "/host");
  root_make_dir(ROOT_PLACE "/platform");
  root_place_tree(platform, ROOT_PLACE "/host", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  if (mount("overlay", ROOT_PLACE "/platform", "overlay", MS_RDONLY | MS_NOSUID | MS_NODEV,
            "userxattr,lowerdir=" ROOT_PLACE "/host:" ROOT_PLACE "/none") < 0)
    oci_fail("cannot mount the platform's files: %m");
}

static int open_inside(int root, const char *path) {
  struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
  return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

/* Places that config.json can name, whatever links the image has: the sandbox's /tmp, and where the platform's own files
 * go in it. The runtime resolves the mount points in the root itself. */
static void prepare_places(const struct sandbox_spec *spec) {
  int root = open("/shell/root", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) oci_fail("cannot open the sandbox's root: %m");
  /* What the native sandbox has of /proc is of another pid namespace than the container's. */
  if (umount2("/shell/root/proc", MNT_DETACH) < 0) oci_fail("cannot take /proc away: %m");
  if (!spec->scratch) {
    char path[64];
    int tmp = open_inside(root, "/tmp");
    snprintf(path, sizeof(path), "/proc/self/fd/%d", tmp);
    if (tmp < 0 || mkdir("/shell/tmp", 01777) < 0 || mount(path, "/shell/tmp", NULL, MS_BIND, NULL) < 0)
      oci_fail("cannot find the image's /tmp: %m");
    close(tmp);
  }
  if (mkdirat(root, ".oncebox", 0755) < 0 && errno != EEXIST) oci_fail("cannot make /.oncebox: %m");
  close(root);
}

int oci_root_enter(const struct oci_start *start, void (*fail)(const char *format, ...)) {
  static int layers[MAX_LAYERS];
  static struct system_dir system[SYSTEM_DIRS];
  const struct oci_request *request = &start->request;
  const struct sandbox_spec *spec = &request->spec;
  const char *lost;
  char platform_path[4096], result_options[128];
  oci_fail = fail;
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) fail("cannot make mounts private: %m");
  /* Still by the host's root's file permissions: the store may lie where only he may look. */
  int count = root_take_layers(start->layers_dir, spec->layers, layers);
  if (count < 0) fail("cannot take a layer into the sandbox (is it missing?): %m");
  snprintf(platform_path, sizeof(platform_path), "%s/.oncebox", start->platform_dir);
  int platform = root_clone_tree(platform_path), runtime = take_runtime(request->runtime);
  if (request->runtime == OCI_RUNC && (lost = root_take_system(system))) fail("cannot take %s: %m", lost);
  /* Nobody whom an image can name; and with all capabilities in the user namespace, which no change of ids takes. */
  if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) < 0) fail("cannot set the secure bits: %m");
  if (setgroups(0, NULL) < 0 || setresgid(ADMINISTRATOR_ID, ADMINISTRATOR_ID, ADMINISTRATOR_ID) < 0 ||
      setresuid(ADMINISTRATOR_ID, ADMINISTRATOR_ID, ADMINISTRATOR_ID) < 0)
    fail("cannot become the sandbox's administrator: %m");
  ids_make_files_as(0); /* as in any container */
  umask(022);
  if (mount("tmpfs", ROOT_PLACE, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m,nr_inodes=512") < 0)
    fail("cannot mount the runtime's root: %m");
  if (request->runtime == OCI_RUNC && (lost = root_place_system(system))) fail("cannot place %s: %m", lost);
  root_place_layers(spec->layers, layers, count);
  mount_platform(platform);
  int file = open(ROOT_PLACE "/runtime", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
  if (file < 0) fail("cannot make a place for the runtime: %m");
  close(file);
  root_place_tree(runtime, ROOT_PLACE "/runtime", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  root_place_devices(start->devices);
  write_config(request->config);
  root_make_dir(ROOT_PLACE "/shell");
  root_make_dir(ROOT_PLACE "/proc");
  root_make_dir(ROOT_PLACE "/tmp"); /* runsc mounts a root for its kernel there */
  mount_tmpfs(ROOT_PLACE "/run", "mode=0700,size=8m,nr_inodes=512");
  mount_tmpfs(ROOT_PLACE OCI_JOB, "mode=0755," JOB_SIZE);
  snprintf(result_options, sizeof(result_options), "mode=0700,uid=%u,gid=%u," RESULT_SIZE, spec->uid, spec->gid);
  mount_tmpfs(ROOT_PLACE OCI_RESULT, result_options);
  /* Its own cgroup as the root: no names of the host. */
  if (unshare(CLONE_NEWCGROUP) < 0) fail("cannot make a cgroup namespace: %m");
  if (request->runtime == OCI_RUNC) mount_cgroups(&start->cgroup.layout);
  /* Before the old root goes: a new proc may only be mounted where an unmasked one is visible. */
  if (mount("proc", ROOT_PLACE "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
    fail("cannot mount the runtime's /proc (is /proc masked, as in an unprivileged container?): %m");
  root_pivot(ROOT_PLACE);
  int tmpfs = shell_make_tmpfs(request->limits.disk_bytes, request->limits.disk_inodes);
  if (tmpfs < 0) fail("cannot make the writable layer: %m");
  mount_shell(tmpfs, spec);
  prepare_places(spec);
  if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) < 0)
    fail("cannot make the runtime's root read-only: %m");
  ids_make_files_as(ADMINISTRATOR_ID);
  return tmpfs;
}
