/*
 * root-host.c: what of the host the roots of builds and of OCI runtimes are put together from: its programs and
 * libraries, and single layers of the store. All of it is read-only in there.
 */
#define _GNU_SOURCE
#include "oncebox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Where the distribution has merged /usr, the later ones are links. */
static const char *const system_dirs[SYSTEM_DIRS] = {"/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib32", "/usr/lib64",
                                                     "/usr/libx32", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"};

const char *root_take_system(struct system_dir dirs[SYSTEM_DIRS]) {
  for (size_t i = 0; i < SYSTEM_DIRS; i++) {
    dirs[i] = (struct system_dir){.tree = -1};
    ssize_t length = readlink(system_dirs[i], dirs[i].target, sizeof(dirs[i].target) - 1);
    if (length > 0) continue;
    dirs[i].tree = (int)syscall(SYS_open_tree, AT_FDCWD, system_dirs[i],
                                OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (dirs[i].tree < 0 && errno != ENOENT) return system_dirs[i];
  }
  return NULL;
}

const char *root_place_system(const struct system_dir dirs[SYSTEM_DIRS]) {
  struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
  root_make_dir(ROOT_PLACE "/usr");
  for (size_t i = 0; i < SYSTEM_DIRS; i++) {
    char path[64];
    snprintf(path, sizeof(path), ROOT_PLACE "%s", system_dirs[i]);
    if (dirs[i].target[0]) root_make_link(dirs[i].target, path);
    if (dirs[i].tree < 0) continue;
    root_make_dir(path);
    if (syscall(SYS_mount_setattr, dirs[i].tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0 ||
        syscall(SYS_move_mount, dirs[i].tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
      return system_dirs[i];
    close(dirs[i].tree);
  }
  return NULL;
}

/* Never through a symbolic link: the directory is the worker's, and he is not trusted with our rights. */
static int take_layer(int dir, const char *name) {
  struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
  int layer = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
  if (layer < 0) return -1;
  int tree = (int)syscall(SYS_open_tree, layer, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC), saved = errno;
  close(layer);
  errno = saved;
  return tree;
}

int root_take_layers(const char *layers_dir, const char *layers, int *trees) {
  int count = 0, dir = open(layers_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) return -1;
  for (const char *at = layers; *at; count++) {
    char name[LAYER_NAME + 1];
    snprintf(name, sizeof(name), "%.*s", LAYER_NAME, at);
    if ((trees[count] = take_layer(dir, name)) < 0) return -1; /* who called ends, and the trees with him */
    at += LAYER_NAME + (at[LAYER_NAME] == ':');
  }
  close(dir);
  return count;
}

void root_place_layers(const char *layers, const int *trees, int count) {
  root_make_dir(ROOT_PLACE "/layers");
  for (int i = 0; i < count; i++) {
    char path[128];
    snprintf(path, sizeof(path), ROOT_PLACE "/layers/%.*s", LAYER_NAME, layers + (size_t)i * (LAYER_NAME + 1));
    root_make_dir(path);
    root_place_tree(trees[i], path, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  }
}
