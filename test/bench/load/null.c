/*
 * Reads uploads, throws them away and answers 202: the least a receiver can do. The rate of load.c against it shows
 * how much of a measured rate could be the generator's own.
 *
 *   null unix:PATH|http://HOST:PORT       ready line on standard error: listening ADDRESS
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ROOM = 1 << 18, HEAD_ROOM = 16384 };

struct connection {
  int fd;
  char head[HEAD_ROOM + 1];
  size_t head_size;
  long body_left;
};

static const char ANSWER[] = "HTTP/1.1 202 Accepted\r\nContent-Length: 7\r\n\r\nqueued\n";
static char room[ROOM];

static void fail(const char *what) {
  fprintf(stderr, "null: %s: %s\n", what, strerror(errno));
  exit(1);
}

static int open_listener(const char *address) {
  int fd;
  if (strncmp(address, "unix:", 5) == 0) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "%s", address + 5);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0) fail(address);
    fprintf(stderr, "listening %s\n", address);
  } else {
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof at;
    char host[64];
    int port;
    if (sscanf(address, "http://%63[0-9.]:%d", host, &port) != 2) fail(address);
    at.sin_port = htons(port);
    inet_pton(AF_INET, host, &at.sin_addr);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0) fail(address);
    getsockname(fd, (struct sockaddr *)&at, &size);
    fprintf(stderr, "listening http://%s:%d\n", host, ntohs(at.sin_port));
  }
  if (listen(fd, 1024) != 0) fail(address);
  return fd;
}

static void answer(struct connection *c) {
  if (send(c->fd, ANSWER, sizeof ANSWER - 1, MSG_NOSIGNAL) < 0) fail("send");
}

/* Takes one piece of what came. False when the connection is over. */
static int take(struct connection *c) {
  if (c->body_left > 0) {
    ssize_t got = recv(c->fd, room, c->body_left < ROOM ? c->body_left : ROOM, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return 1;
    if (got <= 0) return 0;
    c->body_left -= got;
    if (c->body_left == 0) answer(c);
    return 1;
  }
  ssize_t got = recv(c->fd, c->head + c->head_size, HEAD_ROOM - c->head_size, MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) return 1;
  if (got <= 0) return 0;
  c->head_size += got;
  c->head[c->head_size] = 0;
  char *end = strstr(c->head, "\r\n\r\n"), *length = strcasestr(c->head, "content-length:");
  if (end == NULL) return 1;
  long of_body = c->head + c->head_size - (end + 4);
  c->body_left = (length == NULL ? 0 : atol(length + 15)) - of_body;
  c->head_size = 0;
  if (c->body_left == 0) answer(c);
  return 1;
}

int main(int count, char **words) {
  if (count != 2) return 64;
  int listener = open_listener(words[1]), epoll_fd = epoll_create1(0), on = 1;
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    struct epoll_event events[64];
    int ready = epoll_wait(epoll_fd, events, 64, -1);
    for (int i = 0; i < ready; i++) {
      struct connection *c = events[i].data.ptr;
      if (c == NULL) {
        c = calloc(1, sizeof *c);
        c->fd = accept(listener, NULL, NULL);
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        event.data.ptr = c;
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event);
      } else if (!take(c)) {
        close(c->fd);
        free(c);
      }
    }
  }
}
