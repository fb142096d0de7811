/* The text of a configuration file. */
#include "fuzz.h"

#include "config/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct config *config;
	struct config_diagnostics diags = {0};
	static char line[CONFIG_DIAGNOSTIC_TEXT_LEN];
	char *copy = (char *)fuzz_copy(VIEW(data, len));
	if (config_parse(&config, "/nowhere/fuzz.conf", copy, len, &diags) == OK) {
		MUST(diags.errors == 0);
		config_free(config);
	} else {
		MUST(config == NULL && diags.errors > 0);
	}
	for (size_t i = 0; i < diags.count; i++)
		MUST(strlen(config_diagnostic_format(&diags.items[i], "fuzz.conf", line)) < sizeof line);
	config_diagnostics_done(&diags);
	free(copy);
	return 0;
}
