/*
 * Read-copy-update: what data lanes read without locks is replaced by publishing a pointer, and
 * freed after a grace period, when no lane can hold the old one any more (liburcu). This header is
 * the only place that names liburcu's calls; ThreadSanitizer, which does not see inside it, is told
 * what the grace period orders.
 */
#pragma once

#include <urcu.h>

#if defined(__SANITIZE_THREAD__)
#define GRACE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define GRACE_TSAN 1
#endif
#endif

#ifdef GRACE_TSAN
void __tsan_acquire(void *);
void __tsan_release(void *);
extern char grace_tsan_tag;
#endif

/* Every thread that reads registers once. */
static inline void grace_register_thread(void)
{
	rcu_register_thread();
}
static inline void grace_unregister_thread(void)
{
	rcu_unregister_thread();
}

static inline void grace_read_begin(void)
{
	rcu_read_lock();
}
static inline void grace_read_end(void)
{
#ifdef GRACE_TSAN
	__tsan_release(&grace_tsan_tag);
#endif
	rcu_read_unlock();
}

/* Returns when every read section that had begun has ended. Never from inside one. */
static inline void grace_wait(void)
{
	synchronize_rcu();
#ifdef GRACE_TSAN
	__tsan_acquire(&grace_tsan_tag);
#endif
}
