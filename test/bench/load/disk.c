/*
 * How fast one file of N bytes becomes durable on this disk, by the ways a receiver could choose:
 *
 *   disk DIR BYTES WAY [CHUNK_BYTES] [DEPTH]
 *
 *   cache     write() alone: the page cache, nothing durable. What a receiver without a sync pays.
 *   sync      write(), then one fdatasync().
 *   range     write(), with sync_file_range(SYNC_FILE_RANGE_WRITE) after each CHUNK from a second thread, then fdatasync().
 *   periodic  write(), with fdatasync() after each CHUNK from a second thread, then fdatasync().
 *   direct    O_DIRECT writes of CHUNK bytes by DEPTH threads into a file of known size (fallocate), then fdatasync().
 *   grow      the same with DEPTH 1 and without fallocate.
 *
 * Prints one JSON line: seconds of the writes, of the final sync, and of all.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { WRITE_BYTES = 1 << 20 };

static int fd;
static long total, chunk;
static int periodic;
static _Atomic long written, next_offset;
static char *data;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void fail(const char *what) {
  fprintf(stderr, "disk: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void *flush_behind(void *unused) {
  long done = 0;
  while (done < total) {
    long have = atomic_load(&written);
    if (have - done < chunk && have < total) {
      usleep(500);
      continue;
    }
    if (have >= total) break;
    if (periodic) {
      if (fdatasync(fd) != 0) fail("fdatasync");
      done = have;
    } else {
      if (sync_file_range(fd, done, chunk, SYNC_FILE_RANGE_WRITE) != 0) fail("sync_file_range");
      done += chunk;
    }
  }
  return unused;
}

static void *write_direct(void *unused) {
  for (;;) {
    long at = atomic_fetch_add(&next_offset, chunk);
    if (at >= total) return unused;
    long size = total - at < chunk ? total - at : chunk;
    if (pwrite(fd, data, size, at) != size) fail("pwrite");
  }
}

int main(int count, char **words) {
  if (count < 4) {
    fprintf(stderr, "usage: disk DIR BYTES cache|sync|range|periodic|direct|grow [CHUNK_BYTES] [DEPTH]\n");
    return 64;
  }
  const char *way = words[3];
  char path[4096];
  snprintf(path, sizeof path, "%s/disk-probe.%d", words[1], getpid());
  total = atol(words[2]);
  chunk = count > 4 ? atol(words[4]) : 32l << 20;
  int depth = count > 5 ? atoi(words[5]) : 1;
  int grow = strcmp(way, "grow") == 0, direct = grow || strcmp(way, "direct") == 0;
  periodic = strcmp(way, "periodic") == 0;
  int behind = periodic || strcmp(way, "range") == 0;

  long room = direct ? chunk : WRITE_BYTES;
  if (posix_memalign((void **)&data, 4096, room) != 0) fail("memory");
  for (long i = 0; i < room; i++) data[i] = (char)(i * 2654435761u >> 13);
  fd = open(path, O_CREAT | O_EXCL | O_WRONLY | (direct ? O_DIRECT : 0), 0600);
  if (fd < 0) fail(path);

  double start = now();
  pthread_t threads[64];
  if (direct) {
    if (!grow && fallocate(fd, 0, 0, total) != 0) fail("fallocate");
    if (grow) depth = 1;
    for (int i = 0; i < depth; i++) pthread_create(&threads[i], NULL, write_direct, NULL);
    for (int i = 0; i < depth; i++) pthread_join(threads[i], NULL);
  } else {
    if (behind) pthread_create(&threads[0], NULL, flush_behind, NULL);
    for (long at = 0; at < total; at += WRITE_BYTES) {
      if (write(fd, data, WRITE_BYTES) != WRITE_BYTES) fail("write");
      atomic_store(&written, at + WRITE_BYTES);
    }
  }
  double wrote = now();
  if (behind) pthread_join(threads[0], NULL);
  if (strcmp(way, "cache") != 0 && fdatasync(fd) != 0) fail("fdatasync");
  double end = now();
  printf("{\"way\":\"%s\",\"chunk\":%ld,\"depth\":%d,\"write_s\":%.4f,\"sync_s\":%.4f,\"total_s\":%.4f,\"mib_per_s\":%.0f}\n", way,
         chunk, depth, wrote - start, end - wrote, end - start, total / 1048576.0 / (end - start));
  unlink(path);
  return 0;
}
