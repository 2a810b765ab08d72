#include "loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64

int64_t loop_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int loop_open(struct loop *l)
{
    *l = (struct loop){.epoll = epoll_create1(EPOLL_CLOEXEC)};
    return l->epoll < 0 ? -1 : 0;
}

int loop_watch(struct loop *l, struct source *s, uint32_t events)
{
    if (s->is_added && s->watched == events)
        return 0;
    struct epoll_event event = {.events = events, .data.ptr = s};
    if (epoll_ctl(l->epoll, s->is_added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, s->fd, &event) < 0)
        return -1;
    s->is_added = true;
    s->watched = events;
    return 0;
}

void loop_unwatch(struct loop *l, struct source *s)
{
    if (s->is_added)
        (void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, s->fd, NULL);
    s->is_added = false;
}

void loop_close(struct loop *l, struct source *s)
{
    if (s->fd < 0)
        return;
    loop_unwatch(l, s);
    (void)close(s->fd);
    s->fd = -1;
}

void loop_free(struct loop *l, struct source *s)
{
    s->next_dead = l->dead;
    l->dead = s;
}

void loop_clear_timer(struct loop *l, struct timer *t)
{
    for (struct timer **link = &l->timers; *link; link = &(*link)->next) {
        if (*link == t) {
            *link = t->next;
            break;
        }
    }
    t->is_set = false;
}

void loop_set_timer(struct loop *l, struct timer *t, int64_t after_ms, void (*expired)(struct timer *t))
{
    if (t->is_set)
        loop_clear_timer(l, t);
    *t = (struct timer){.at_ms = loop_now_ms() + after_ms, .expired = expired, .is_set = true};
    struct timer **link = &l->timers;
    while (*link && (*link)->at_ms <= t->at_ms)
        link = &(*link)->next;
    t->next = *link;
    *link = t;
}

static void run_timers(struct loop *l)
{
    int64_t now = loop_now_ms();
    while (l->timers && l->timers->at_ms <= now) {
        struct timer *t = l->timers;
        l->timers = t->next;
        t->is_set = false;
        t->expired(t);
    }
}

static int timeout_ms(const struct loop *l)
{
    if (!l->timers)
        return -1;
    int64_t left = l->timers->at_ms - loop_now_ms();
    return left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

void loop_run(struct loop *l)
{
    struct epoll_event events[BATCH];
    while (!l->is_done) {
        int count = epoll_wait(l->epoll, events, BATCH, timeout_ms(l));
        if (count < 0 && errno != EINTR)
            return;
        for (int i = 0; i < count; i++) {
            struct source *s = events[i].data.ptr;
            if (s->fd >= 0 && s->is_added)
                s->ready(s, events[i].events);
        }
        run_timers(l);
        while (l->dead) {
            struct source *s = l->dead;
            l->dead = s->next_dead;
            free(s);
        }
    }
}
