/* The event loop: file descriptors, deadlines, and objects that die while their events are still in the batch. */
#ifndef MINIDOCK_LOOP_H
#define MINIDOCK_LOOP_H

#include <stdbool.h>
#include <stdint.h>

/* A descriptor that is watched. Embedded as the first member of whatever owns the descriptor. */
struct source {
    int fd;           /* -1: closed */
    uint32_t watched; /* EPOLLIN, EPOLLOUT; errors and hang-up always come */
    bool is_added;
    void (*ready)(struct source *s, uint32_t events);
    struct source *next_dead;
};

struct timer {
    int64_t at_ms; /* CLOCK_MONOTONIC */
    void (*expired)(struct timer *t);
    struct timer *next;
    bool is_set;
};

struct loop {
    int epoll;
    bool is_done;
    struct timer *timers;
    struct source *dead;
};

int loop_open(struct loop *l);
void loop_run(struct loop *l); /* until is_done */

/* Watches for `events`; with 0 only for hang-up. */
int loop_watch(struct loop *l, struct source *s, uint32_t events);
/* Not even hang-up, which cannot be masked and would spin the loop: epoll_ctl(2). */
void loop_unwatch(struct loop *l, struct source *s);
/* Closes the descriptor. */
void loop_close(struct loop *l, struct source *s);
/* Frees the object that begins with this closed source, once no event of the current batch can mean it. */
void loop_free(struct loop *l, struct source *s);

int64_t loop_now_ms(void); /* CLOCK_MONOTONIC */
void loop_set_timer(struct loop *l, struct timer *t, int64_t after_ms, void (*expired)(struct timer *t));
void loop_clear_timer(struct loop *l, struct timer *t);

#endif
