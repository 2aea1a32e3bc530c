/*
 * Sends uploads as fast as the other side takes them: one thread, epoll, kept-alive connections, bodies out of one
 * block of memory, so that it costs little beside what it measures (the bench shows that against load/null.c).
 *
 *   load --to unix:PATH|http://HOST:PORT --connections C --requests N --size BYTES [--header 'Name: value']...
 *        [--first NUMBER] [--get PATH]
 *
 * Sends POST /upload, or GET PATH without a body. A %d in a header becomes the number of the request, from --first on.
 * All connections are open before the clock starts. Prints one JSON line:
 *   requests, bytes, seconds, per_second, mib_per_second, statuses {"202":N}, first_refusal (text of the first answer
 *   that is no 2xx, or null), latency_ms (first byte sent to whole answer) and answer_ms (last byte of the body sent to
 *   whole answer), each with p50, p90, p99 and max.
 * Exit status 1 when a connection breaks or an answer cannot be read, 2 when an answer was no 2xx.
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
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 1 << 20, HEAD_ROOM = 8192, ANSWER_ROOM = 1 << 20, MAX_HEADERS = 32, MAX_STATUS = 600 };

struct connection {
  int fd;
  char head[HEAD_ROOM];
  size_t head_size, head_sent;
  long body_sent;
  char answer[ANSWER_ROOM + 1];
  size_t answer_size;
  double began, sent;
  int writing;
};

static const char *to, *get_path, *headers[MAX_HEADERS];
static int header_count, connection_count = 1, epoll_fd;
static long request_count = 1, body_size, first_number, started, finished, statuses[MAX_STATUS];
static char *block, first_refusal[512];
static double *latencies, *answers;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void fail(const char *what, const char *detail) {
  fprintf(stderr, "load: %s: %s\n", what, detail);
  exit(1);
}

static int dial(void) {
  int fd;
  if (strncmp(to, "unix:", 5) == 0) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(to + 5) >= sizeof address.sun_path) fail(to, "the path is too long");
    strcpy(address.sun_path, to + 5);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) fail(to, strerror(errno));
  } else {
    char host[64];
    int port;
    struct sockaddr_in address = {.sin_family = AF_INET};
    if (sscanf(to, "http://%63[0-9.]:%d", host, &port) != 2) fail(to, "expected unix:PATH or http://IPV4:PORT");
    address.sin_port = htons(port);
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) fail(to, "expected an IPv4 address");
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) fail(to, strerror(errno));
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}

static void watch(struct connection *c, int writing) {
  struct epoll_event event = {.events = writing ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = c};
  if (c->writing == writing) return;
  c->writing = writing;
  epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
}

static void put(struct connection *c, const char *text, long number) {
  for (; *text != 0; text++) {
    if (c->head_size > HEAD_ROOM - 32) fail("headers", "too long");
    if (text[0] == '%' && text[1] == 'd') {
      c->head_size += sprintf(c->head + c->head_size, "%ld", number);
      text++;
    } else {
      c->head[c->head_size++] = *text;
    }
  }
}

/* Sends what the socket takes; asks to be told when it takes more. */
static void push(struct connection *c) {
  while (c->head_sent < c->head_size || c->body_sent < body_size) {
    long body = body_size - c->body_sent < BLOCK ? body_size - c->body_sent : BLOCK;
    struct iovec parts[2] = {{c->head + c->head_sent, c->head_size - c->head_sent}, {block, body}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t sent = sendmsg(c->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EAGAIN) {
      watch(c, 1);
      return;
    }
    /* A refusal may come before the whole body went: the answer says why. */
    if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) break;
    if (sent < 0) fail("send", strerror(errno));
    size_t of_head = c->head_size - c->head_sent;
    if ((size_t)sent < of_head) of_head = sent;
    c->head_sent += of_head;
    c->body_sent += sent - of_head;
  }
  if (c->sent == 0) c->sent = now();
  watch(c, 0);
}

static void begin(struct connection *c) {
  long number = first_number + started++;
  c->head_size = c->head_sent = c->answer_size = 0;
  c->body_sent = 0;
  c->sent = 0;
  put(c, get_path == NULL ? "POST /upload" : "GET ", number);
  put(c, get_path == NULL ? "" : get_path, number);
  put(c, " HTTP/1.1\r\nHost: bench\r\n", number);
  for (int i = 0; i < header_count; i++) {
    put(c, headers[i], number);
    put(c, "\r\n", number);
  }
  if (get_path == NULL) c->head_size += sprintf(c->head + c->head_size, "Content-Length: %ld\r\n", body_size);
  put(c, "\r\n", number);
  c->began = now();
  push(c);
}

static const char *find_header(const char *answer, const char *end, const char *name) {
  size_t length = strlen(name);
  for (const char *line = answer; line < end; line = strstr(line, "\r\n") + 2) {
    if (strncasecmp(line, name, length) == 0 && line[length] == ':') return line + length + 1;
  }
  return NULL;
}

/* The status when the answer is whole, 0 when more must come. */
static int whole_answer(struct connection *c) {
  char *end = strstr(c->answer, "\r\n\r\n");
  int status;
  if (end == NULL) return 0;
  if (sscanf(c->answer, "HTTP/1.1 %d", &status) != 1 || status < 200 || status >= MAX_STATUS) fail("answer", c->answer);
  size_t head = end + 4 - c->answer;
  const char *length = find_header(c->answer, end + 2, "content-length");
  const char *coding = find_header(c->answer, end + 2, "transfer-encoding");
  if (coding != NULL && strncasecmp(coding, " chunked", 8) == 0) {
    if (c->answer_size < head + 5 || memcmp(c->answer + c->answer_size - 5, "0\r\n\r\n", 5) != 0) return 0;
  } else if (length == NULL || c->answer_size < head + atol(length)) {
    return 0;
  }
  if ((status < 200 || status > 299) && first_refusal[0] == 0) {
    snprintf(first_refusal, sizeof first_refusal, "%.*s", 500, c->answer);
  }
  return status;
}

/* Reads what has come. True when the connection has nothing more to do. */
static int take(struct connection *c) {
  ssize_t got = recv(c->fd, c->answer + c->answer_size, ANSWER_ROOM - c->answer_size, MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) return 0;
  if (got < 0) fail("receive", strerror(errno));
  if (got == 0) fail("receive", "the connection was closed before the answer");
  c->answer_size += got;
  c->answer[c->answer_size] = 0;
  int status = whole_answer(c);
  if (status == 0) return 0;
  double end = now();
  statuses[status]++;
  latencies[finished] = end - c->began;
  answers[finished] = c->sent == 0 ? 0 : end - c->sent;
  finished++;
  if (c->body_sent < body_size) fail("refused before the body was sent", c->answer);
  if (started < request_count) {
    begin(c);
    return 0;
  }
  return 1;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static void print_times(const char *name, double *times) {
  qsort(times, finished, sizeof *times, by_size);
  printf(",\"%s\":{\"p50\":%.4f,\"p90\":%.4f,\"p99\":%.4f,\"max\":%.4f}", name, times[finished / 2] * 1e3,
         times[finished * 9 / 10] * 1e3, times[finished * 99 / 100] * 1e3, times[finished - 1] * 1e3);
}

static void print_refusal(void) {
  printf(",\"first_refusal\":");
  if (first_refusal[0] == 0) {
    printf("null");
    return;
  }
  putchar('"');
  for (const unsigned char *at = (unsigned char *)first_refusal; *at != 0; at++) {
    if (*at == '"' || *at == '\\' || *at < 32) printf("\\u%04x", *at);
    else putchar(*at);
  }
  putchar('"');
}

static void print_result(double seconds) {
  double mib = body_size / 1048576.0 * finished;
  printf("{\"requests\":%ld,\"bytes\":%ld,\"seconds\":%.6f,\"per_second\":%.2f,\"mib_per_second\":%.2f,\"statuses\":{",
         finished, body_size * finished, seconds, finished / seconds, mib / seconds);
  for (int status = 0, printed = 0; status < MAX_STATUS; status++) {
    if (statuses[status] != 0) printf("%s\"%d\":%ld", printed++ ? "," : "", status, statuses[status]);
  }
  printf("}");
  print_refusal();
  print_times("latency_ms", latencies);
  print_times("answer_ms", answers);
  printf("}\n");
}

static void read_options(int count, char **words) {
  for (int i = 1; i + 1 < count; i += 2) {
    const char *name = words[i], *value = words[i + 1];
    if (strcmp(name, "--to") == 0) to = value;
    else if (strcmp(name, "--connections") == 0) connection_count = atoi(value);
    else if (strcmp(name, "--requests") == 0) request_count = atol(value);
    else if (strcmp(name, "--size") == 0) body_size = atol(value);
    else if (strcmp(name, "--first") == 0) first_number = atol(value);
    else if (strcmp(name, "--get") == 0) get_path = value;
    else if (strcmp(name, "--header") == 0 && header_count < MAX_HEADERS) headers[header_count++] = value;
    else fail(name, "not an option");
  }
  if (to == NULL || request_count < 1 || connection_count < 1) fail("usage", "--to, --requests and --connections");
  if (get_path != NULL) body_size = 0;
  if (connection_count > request_count) connection_count = request_count;
}

int main(int count, char **words) {
  read_options(count, words);
  block = malloc(BLOCK);
  latencies = calloc(request_count, sizeof *latencies);
  answers = calloc(request_count, sizeof *answers);
  struct connection *all = calloc(connection_count, sizeof *all);
  if (block == NULL || latencies == NULL || answers == NULL || all == NULL) fail("memory", strerror(errno));
  for (long i = 0; i < BLOCK; i++) block[i] = (char)(i * 2654435761u >> 13);
  memset(latencies, 0, request_count * sizeof *latencies);
  memset(answers, 0, request_count * sizeof *answers);

  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  for (int i = 0; i < connection_count; i++) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
    all[i].fd = dial();
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, all[i].fd, &event);
  }
  double start = now();
  for (int i = 0; i < connection_count; i++) begin(&all[i]);
  for (int open = connection_count; open > 0;) {
    struct epoll_event events[64];
    int ready = epoll_wait(epoll_fd, events, 64, -1);
    if (ready < 0 && errno != EINTR) fail("epoll_wait", strerror(errno));
    for (int i = 0; i < ready; i++) {
      struct connection *c = events[i].data.ptr;
      if (events[i].events & EPOLLOUT) push(c);
      if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) open -= take(c);
    }
  }
  print_result(now() - start);
  return first_refusal[0] == 0 ? 0 : 2;
}
