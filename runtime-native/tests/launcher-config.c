/* Reading a bundle's config: options of mounts, flags of the command line, contradictions. */
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../launcher/config.h"
#include "../launcher/options.h"
#include "check.h"
#include "io.h"

static void test_mount_options(void)
{
    static const char text[] =
        "[{\"destination\":\"/"
        "a\",\"type\":\"bind\",\"source\":\"src\",\"options\":[\"rbind\",\"ro\",\"rw\",\"rslave\",\"rro\"]},"
        "{\"destination\":\"/"
        "b\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"nosuid\",\"noexec\",\"exec\",\"size=1k\","
        "\"mode=755\",\"tmpcopyup\"]}]";
    struct fault f = {0};
    struct config config = {.bundle = "/bundle", .rootfs = "/bundle/rootfs"};
    config.document = json_parse(text, strlen(text), &f);
    expect(config.document && config_parse_mounts(&config, json_root(config.document), &f) == 0, "mounts are read");
    if (config.mount_count == 2) {
        const struct mount_entry *bind = &config.mounts[0], *tmpfs = &config.mounts[1];
        expect(bind->is_bind && bind->is_recursive, "rbind");
        expect(strcmp(bind->source, "/bundle/src") == 0, "a relative source is the bundle's");
        expect(!(bind->flags & MS_RDONLY) && bind->cleared & MS_RDONLY, "rw after ro");
        expect(bind->propagation == (MS_SLAVE | MS_REC), "rslave");
        expect(bind->recursive_set == MOUNT_ATTR_RDONLY, "rro");
        expect(!tmpfs->is_bind && tmpfs->copies_up && tmpfs->flags == MS_NOSUID, "flags of a tmpfs");
        expect(tmpfs->data && strcmp(tmpfs->data, "size=1k,mode=755") == 0, "the rest is the file system's");
    }
    config_free(&config);
}

static void refuses(const char *text, const char *message)
{
    char directory[] = "/var/tmp/config-test-XXXXXX";
    if (!mkdtemp(directory))
        abort();
    AUTO_CLOSE int dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    expect(create_file_at(dir, "config.json", text, 0600) == 0, "write a config");
    struct fault f = {0};
    struct config config = {0};
    bool is_refused = config_load(&config, directory, NULL, &f) < 0 || config_validate(&config, &f) < 0;
    if (!is_refused || strcmp(f.message, message) != 0)
        fail("\"%s\" instead of \"%s\"", f.message, message);
    config_free(&config);
    (void)unlinkat(dir, "config.json", 0);
    (void)rmdir(directory);
}

#define CONFIG(process, rest)                                                                                          \
    "{\"ociVersion\":\"1.2.1\",\"root\":{\"path\":\".\"},\"process\":{\"cwd\":\"/\",\"args\":[\"x\"]" process "}" rest \
    "}"

static void test_refusals(void)
{
    refuses(CONFIG(",\"user\":{\"uid\":4294967296}", ""),
            "json: cannot unmarshal number 4294967296 into Go struct field User.process.user.uid of type uint32");
    refuses(CONFIG(",\"user\":{\"uid\":-1}", ""),
            "json: cannot unmarshal number -1 into Go struct field User.process.user.uid of type uint32");
    refuses(CONFIG(",\"rlimits\":[{\"type\":\"RLIMIT_X\"}]", ""), "wrong rlimit value: RLIMIT_X");
    refuses(CONFIG("", ",\"hostname\":\"h\""), "unable to set hostname without a private UTS namespace");
    refuses(CONFIG("", ",\"linux\":{\"namespaces\":[{\"type\":\"x\"}]}"), "namespace {\"x\" \"\"} does not exist");
    refuses(CONFIG("", ",\"linux\":{\"sysctl\":{\"kernel.core_pattern\":\"x\"}}"),
            "sysctl \"kernel.core_pattern\" is not in a separate kernel namespace");
    refuses(
        CONFIG(
            "",
            ",\"linux\":{\"namespaces\":[{\"type\":\"network\"}],\"sysctl\":{\"net.//.kernel.core_pattern\":\"x\"}}"),
        "sysctl \"net.//.kernel.core_pattern\" is not in a separate kernel namespace");
    refuses(CONFIG("", ",\"linux\":{\"namespaces\":[{\"type\":\"user\"}]}"),
            "user namespaces enabled, but no uid mapping for the container's root");
    refuses("{\"root\":{\"path\":\"nosuch\"}}x", "invalid JSON at byte 26: more text after the value");
    refuses("{\"process\":{\"cwd\":\"/\",\"args\":[\"a\\u0000b\"]},\"root\":{\"path\":\".\"}}",
            "invalid JSON at byte 38: NUL in a string");
}

static void test_flags(void)
{
    const struct usage exec = {"exec", "", "", 1, -1, true}, kill = {"kill", "", "", 1, 2, false};
    bool detach = false;
    const char *file = NULL;
    struct option_values env = {0};
    const struct option_rule rules[] = {{"detach", "d", OPTION_FLAG, &detach, NULL},
                                        {"pid-file", NULL, OPTION_TEXT, &file, NULL},
                                        {"env", "e", OPTION_LIST, &env, NULL},
                                        OPTIONS_END};
    char *argv[] = {"-d", "--pid-file=x", "-e", "A=1", "--env", "B=-2", "id", "sh", "-c", "-d"};
    struct fault f = {0};
    int words = options_parse(&exec, rules, 10, argv, &f);
    expect(words == 4 && strcmp(argv[0], "id") == 0 && strcmp(argv[3], "-d") == 0,
           "words begin at the first that is no flag");
    expect(detach && file && strcmp(file, "x") == 0 && env.count == 2 && strcmp(env.items[1], "B=-2") == 0,
           "flags are set");
    char *unknown[] = {"--nosuch"};
    expect(options_parse(&exec, rules, 1, unknown, &f) < 0 && strstr(f.message, "-nosuch"),
           "an unknown flag is refused");
    char *interspersed[] = {"id", "--detach=false", "x"};
    expect(options_parse(&kill, rules, 3, interspersed, &f) == 2 && !detach, "flags after words");
}

int main(void)
{
    test_mount_options();
    test_refusals();
    test_flags();
    return report("launcher-config");
}
