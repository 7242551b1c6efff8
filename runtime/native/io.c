/* Buffers, frames, descriptors over sockets, small files. */
#define _GNU_SOURCE
#include "oncebox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

void log_line(const char *format, ...) {
  char line[1024];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(line, sizeof(line) - 1, format, arguments);
  va_end(arguments);
  if (length < 0) return;
  if ((size_t)length > sizeof(line) - 2) length = sizeof(line) - 2;
  line[length] = '\n';
  /* One write, so that lines of several processes do not mix. Nobody to tell when it fails. */
  if (write(STDERR_FILENO, line, (size_t)length + 1) < 0) return;
}

void die(const char *format, ...) {
  char line[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof(line), format, arguments);
  va_end(arguments);
  log_line("oncebox: %s", line);
  _exit(1);
}

/* Programs, their input and their results pass through buffers, and a shell is a copy of the agent. So what is taken out of
 * a buffer is wiped: nothing of one sandbox is in the memory of the next one's init. */
static void buffer_move(struct buffer *buffer, uint8_t *to, size_t capacity) {
  if (buffer->length > 0) memcpy(to, buffer->data + buffer->start, buffer->length);
  size_t length = buffer->length;
  buffer_free(buffer);
  *buffer = (struct buffer){.data = to, .length = length, .capacity = capacity};
}

void buffer_append(struct buffer *buffer, const void *data, size_t length) {
  if (length == 0) return;
  if (length > buffer->capacity - buffer->start - buffer->length && buffer->start > 0) {
    memmove(buffer->data, buffer->data + buffer->start, buffer->length);
    explicit_bzero(buffer->data + buffer->length, buffer->start);
    buffer->start = 0;
  }
  if (length > buffer->capacity - buffer->length) {
    size_t capacity = buffer->capacity ? buffer->capacity : 4096;
    while (capacity < buffer->length + length) capacity *= 2;
    uint8_t *larger = malloc(capacity);
    if (!larger) die("cannot grow a buffer to %zu bytes: %m", capacity);
    buffer_move(buffer, larger, capacity);
  }
  memcpy(buffer->data + buffer->start + buffer->length, data, length);
  buffer->length += length;
}

/* Moves nothing: a reader that takes little at a time must not cost the square of what it takes. */
void buffer_drop_front(struct buffer *buffer, size_t length) {
  buffer->start += length;
  buffer->length -= length;
  if (buffer->length > 0 || !buffer->data) return;
  explicit_bzero(buffer->data, buffer->start);
  buffer->start = 0;
  /* A large job must not keep its memory for the life of the agent. */
  if (buffer->capacity > (1u << 20)) buffer_free(buffer);
}

void buffer_free(struct buffer *buffer) {
  if (buffer->data) explicit_bzero(buffer->data, buffer->start + buffer->length);
  free(buffer->data);
  *buffer = (struct buffer){0};
}

int write_all(int fd, const void *data, size_t length) {
  const uint8_t *at = data;
  while (length > 0) {
    ssize_t written = write(fd, at, length);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) {
      struct pollfd wait = {.fd = fd, .events = POLLOUT};
      if (poll(&wait, 1, -1) < 0 && errno != EINTR) return -1;
      continue;
    }
    if (written < 0) return -1;
    at += written;
    length -= (size_t)written;
  }
  return 0;
}

static void frame_prefix(uint8_t prefix[FRAME_PREFIX], enum frame_type type, uint32_t sandbox, size_t length) {
  uint32_t rest = (uint32_t)(FRAME_PREFIX - 4 + length);
  memcpy(prefix, &rest, 4);
  prefix[4] = (uint8_t)type;
  memcpy(prefix + 5, &sandbox, 4);
}

void frame_append(struct buffer *buffer, enum frame_type type, uint32_t sandbox, const void *head, size_t head_length,
                  const void *body, size_t body_length) {
  uint8_t prefix[FRAME_PREFIX];
  frame_prefix(prefix, type, sandbox, head_length + body_length);
  buffer_append(buffer, prefix, sizeof(prefix));
  buffer_append(buffer, head, head_length);
  buffer_append(buffer, body, body_length);
}

int frame_send(int fd, enum frame_type type, uint32_t sandbox, const void *head, size_t head_length,
               const void *body, size_t body_length) {
  uint8_t prefix[FRAME_PREFIX];
  frame_prefix(prefix, type, sandbox, head_length + body_length);
  struct iovec parts[3] = {{prefix, sizeof(prefix)}, {(void *)head, head_length}, {(void *)body, body_length}};
  ssize_t written = writev(fd, parts, 3);
  if (written < 0 && errno != EAGAIN && errno != EINTR) return -1;
  size_t done = written < 0 ? 0 : (size_t)written;
  for (int i = 0; i < 3; i++) {
    size_t skip = done < parts[i].iov_len ? done : parts[i].iov_len;
    done -= skip;
    if (skip < parts[i].iov_len &&
        write_all(fd, (const uint8_t *)parts[i].iov_base + skip, parts[i].iov_len - skip) < 0)
      return -1;
  }
  return 0;
}

void frame_post(int fd, enum frame_type type, uint32_t sandbox, const void *head, size_t head_length, const void *body,
                size_t body_length) {
  uint8_t prefix[FRAME_PREFIX];
  frame_prefix(prefix, type, sandbox, head_length + body_length);
  struct iovec parts[3] = {{prefix, sizeof(prefix)}, {(void *)head, head_length}, {(void *)body, body_length}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 3};
  ssize_t sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent != (ssize_t)(sizeof(prefix) + head_length + body_length)) shutdown(fd, SHUT_RDWR);
}

int write_file_at(int dirfd, const char *path, const char *text) {
  int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t written = write(fd, text, strlen(text));
  int saved = errno;
  close(fd);
  errno = saved;
  return written < 0 ? -1 : 0;
}

ssize_t read_file_at(int dirfd, const char *path, char *text, size_t size) {
  int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t got = read(fd, text, size - 1);
  int saved = errno;
  close(fd);
  errno = saved;
  if (got < 0) return -1;
  text[got] = '\0';
  return got;
}

uint64_t now_usec(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

int descriptors_keep(const int *kept, int count) {
  int highest = STDERR_FILENO;
  for (int i = 0; i < count; i++)
    if (kept[i] > highest) highest = kept[i];
  for (int fd = STDERR_FILENO + 1; fd < highest; fd++) {
    bool is_kept = false;
    for (int i = 0; i < count; i++) is_kept |= kept[i] == fd;
    if (!is_kept) close(fd);
  }
  syscall(SYS_close_range, highest + 1, ~0u, 0);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0) return -1;
  return close(null);
}

ssize_t send_fds(int socket, const void *data, size_t length, const int *fds, int count) {
  union {
    char space[CMSG_SPACE(sizeof(int) * 16)];
    struct cmsghdr align;
  } control = {0};
  struct iovec part = {(void *)data, length};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (count > 0) {
    message.msg_control = control.space;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)count);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)count);
    memcpy(CMSG_DATA(header), fds, sizeof(int) * (size_t)count);
  }
  return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

size_t layer_names_count(const char *layers, size_t max) {
  size_t count = 0;
  for (const char *name = layers; *name; count++) {
    if (strspn(name, "0123456789abcdef") != LAYER_NAME) return 0;
    name += LAYER_NAME;
    if (*name == ':' && name[1] != '\0') name++;
    else if (*name != '\0') return 0;
  }
  return count <= max ? count : 0;
}

bool layers_are_names(const char *layers) {
  return layer_names_count(layers, MAX_LAYERS) > 0;
}
