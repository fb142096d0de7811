/* Ctrl-C, and the other signals by which a command is asked to end: for commands that leave something in order. */
#pragma once

#include <stdbool.h>

/* From now on they end nothing by themselves, but system calls that wait (EINTR). */
void interrupt_catch(void);
bool interrupt_seen(void);
