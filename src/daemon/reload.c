/* The configuration file, the folder of keys or the added peers have changed while the tunnel runs. */
#include "base/log.h"
#include "crypto/keyfile.h"
#include "daemon/notify.h"
#include "daemon/private.h"

#include <string.h>

/* The first mistake for who asked, all of them for the log. */
static enum err load(struct daemon *d, struct config **ret, struct fault *fault)
{
	struct config_diagnostics diags = {0};
	char text[CONFIG_DIAGNOSTIC_TEXT_LEN];
	enum err err = config_load_with_keys(ret, d->path, &diags, NULL);
	const struct config_diagnostic *first = NULL;
	for (size_t i = 0; i < diags.count; i++) {
		const struct config_diagnostic *diag = &diags.items[i];
		log_line(diag->warning ? LOG_LEVEL_WARNING : LOG_LEVEL_ERROR, "%s",
			config_diagnostic_format(diag, d->path, text));
		if (!diag->warning && !first)
			first = diag;
	}
	if (err != OK && first)
		(void)fault_set(
			fault, err, "nothing has been changed: %s", config_diagnostic_format(first, d->path, text));
	else if (err != OK)
		(void)fault_set(fault, err, "nothing has been changed: %s: %s", d->path, err_text(err));
	config_diagnostics_done(&diags);
	return err;
}

static enum err check(const struct daemon *d, const struct config *fresh, struct fault *fault)
{
	char keys[CONFIG_RESTART_KEYS_LEN];
	if (!config_needs_restart(d->config, fresh, keys, sizeof keys))
		return OK;
	return fault_set(fault, ERR_STATE,
		"nothing has been changed: %s cannot change while the tunnel is up: take it down and up, or change it "
		"back",
		keys);
}

/* The private key of before stays where the file still has the same. */
static enum err read_identity(struct daemon *d, const struct config *fresh, struct identity **ret, struct fault *fault)
{
	struct identity *identity;
	*ret = NULL;
	if (!fresh->private_key)
		return OK;
	enum err err = keyfile_read_private(&identity, fresh->private_key, fault);
	if (err != OK)
		return err;
	if (d->identity && memcmp(identity_key_id(identity), identity_key_id(d->identity), KEY_ID_LEN) == 0) {
		identity_free(identity);
		identity = d->identity;
	}
	*ret = identity;
	return OK;
}

/* From here on things change. What fails is told; the rest is done all the same. */
static enum err take_over(struct daemon *d, struct config *fresh, struct identity *identity, struct fault *fault)
{
	struct config *old = d->reloaded;
	struct identity *old_identity = d->identity;
	struct fault later, why;
	d->config = d->reloaded = fresh;
	d->identity = identity;
	d->report.config = fresh;
	d->report.identity = identity;
	enum err err = roster_sync(d->roster, fresh, &why);
	if (err != OK)
		(void)fault_set(fault, err, "all has been reloaded but this: %.350s", why.text);
	config_free(old);
	if (old_identity != identity)
		identity_free(old_identity);
	enum err second = watch_set(d->watch, fresh->authorized_keys, err == OK ? fault : &later);
	err = err == OK ? second : err;
	second = watch_set(d->watch_pads, fresh->pads, err == OK ? fault : &later);
	err = err == OK ? second : err;
	second = daemon_apply(d, err == OK ? fault : &later);
	return err == OK ? second : err;
}

static enum err reload(struct daemon *d, struct fault *fault)
{
	struct config *fresh;
	struct identity *identity = NULL;
	enum err err = load(d, &fresh, fault);
	if (err != OK)
		return err;
	err = check(d, fresh, fault);
	if (err == OK)
		err = read_identity(d, fresh, &identity, fault);
	if (err == OK)
		err = keeper_reload(d->keeper, fault);
	if (err == OK) {
		struct engine_config engine = daemon_engine_config(d, fresh, identity);
		err = engine_reconfigure(d->engine, &engine, clock_now());
		if (err != OK)
			(void)fault_set(fault, err, "the engine refuses the new configuration: %s", err_text(err));
	}
	if (err != OK) {
		if (identity != d->identity)
			identity_free(identity);
		config_free(fresh);
		return err;
	}
	err = take_over(d, fresh, identity, fault);
	if (err == OK)
		log_event(LOG_LEVEL_INFO, "reloaded", NULL, "%s: reloaded", interface_name(d->interface));
	return err;
}

enum err daemon_reload(struct daemon *d, struct fault *fault)
{
	notify_reloading(clock_now());
	enum err err = reload(d, fault);
	notify_ready(d->report.interface);
	return err;
}

enum err daemon_reload_peers(struct daemon *d, struct fault *fault)
{
	struct fault later;
	enum err err = roster_sync(d->roster, d->config, fault);
	enum err second = daemon_apply(d, err == OK ? fault : &later);
	return err == OK ? second : err;
}
