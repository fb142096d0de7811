/* Sessions that begin with a hello, made with a slot of the pad. Private to the engine. */
#pragma once

#include "engine/private.h"

/* Begins a hello: the address is known. What goes on under older sessions ends. False: not now. */
bool padhello_call(struct peer *p, usec now);
bool padhello_is_calling(const struct peer *p);
void padhello_stop_calling(struct peer *p);
/* Repeats the hello; returns when to call again. */
usec padhello_tick_call(struct peer *p, usec now);
/* PadHello and PadWelcome came; the latter for this peer's call. */
void padhello_on_hello(struct engine *e, const struct event *event, usec now);
void padhello_on_welcome(struct peer *p, const struct event *event, usec now);
