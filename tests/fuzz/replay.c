/*
 * Runs a fuzz target without a fuzzer: replay PATH..., each a file or a folder of them. Every input is
 * run as it is, cut short, and with a few bytes changed; the same ones every time.
 */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#define INPUT_MAX (1U << 17)
#define CUTS 12
#define CHANGES 24

static unsigned files;

static void run(const uint8_t *data, size_t len)
{
	uint8_t *copy = fuzz_copy(VIEW(data, len));
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
}

static void run_file(const char *path)
{
	static uint8_t data[INPUT_MAX];
	FILE *f = fopen(path, "rb");
	if (!f) {
		perror(path);
		exit(1);
	}
	size_t len = fread(data, 1, sizeof data, f);
	fclose(f);
	files++;
	run(data, len);
	uint64_t state = len;
	struct rng rng = {fuzz_random, &state};
	for (int i = 0; len && i < CUTS; i++)
		run(data, rng_below(&rng, (uint32_t)len));
	for (int i = 0; len && i < CHANGES; i++) {
		uint8_t *at = &data[rng_below(&rng, (uint32_t)len)], before = *at;
		*at = (uint8_t)rng_u32(&rng);
		run(data, len);
		*at = before;
	}
}

static void run_path(const char *path)
{
	struct stat st;
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
		run_file(path);
		return;
	}
	struct dirent **names;
	int n = scandir(path, &names, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		char name[4096];
		(void)snprintf(name, sizeof name, "%s/%s", path, names[i]->d_name);
		if (names[i]->d_name[0] != '.')
			run_file(name);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
}

int main(int argc, char **argv)
{
	run((const uint8_t *)"", 0);
	for (int i = 1; i < argc; i++)
		run_path(argv[i]);
	printf("%u inputs\n", files);
	return files ? 0 : 1;
}
