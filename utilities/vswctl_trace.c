/* A trace as a story: what came in, each step indented by its depth, and a verdict line at the end. */
#include "utilities/vswctl.h"

#include <stdio.h>
#include <string.h>

static const cJSON *member(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

static const char *port_name(const cJSON *ports, unsigned long long number)
{
    const cJSON *p;
    cJSON_ArrayForEach (p, member(ports, "ports")) {
        if (number_of(p, "ofport") == number) {
            return text_of(p, "name");
        }
    }
    return "no such port";
}

/* The step's own words, then whatever else it says ("flow": the packet's new headers). */
static void print_step(const cJSON *s, const cJSON *ports)
{
    int indent = 2 + 2 * (int) number_of(s, "depth");
    const cJSON *e;
    if (member(s, "table")) {
        const char *match = text_of(s, "match");
        printf("%*stable %s: %s", indent, "", text_of(s, "table"), strcmp(match, "miss") ? match : "no entry matches");
        if (member(s, "cookie")) {
            printf("  cookie=%s", text_of(s, "cookie"));
        }
        printf("\n");
        if (member(s, "actions")) {
            const char *actions = text_of(s, "actions");
            printf("%*sactions=%s\n", indent + 4, "", *actions ? actions : "drop");
        }
        return;
    }
    printf("%*s", indent, "");
    const char *comma = "";
    cJSON_ArrayForEach (e, s) {
        if (!strcmp(e->string, "depth") || !strcmp(e->string, "flow")) {
            continue;
        }
        printf("%s%s", comma, e->string);
        if (!cJSON_IsTrue(e)) {
            printf(" %s", text_of(s, e->string));
        }
        if (!strcmp(e->string, "output") && cJSON_IsNumber(e)) {
            printf(" (%s)", port_name(ports, number_of(s, "output")));
        }
        comma = ", ";
    }
    printf("\n");
    if (member(s, "flow")) {
        printf("%*sas %s\n", indent + 4, "", text_of(s, "flow"));
    }
}

void print_trace(const cJSON *r, const cJSON *ports)
{
    const cJSON *s, *verdict = member(r, "verdict");
    const char *separator = " ";
    printf("packet: %s\n", text_of(r, "input"));
    cJSON_ArrayForEach (s, member(r, "steps")) {
        print_step(s, ports);
    }
    if (member(r, "final_flow")) {
        printf("at the end: %s\n", text_of(r, "final_flow"));
    }
    printf("verdict:");
    cJSON_ArrayForEach (s, member(verdict, "outputs")) {
        printf("%soutput to port %s (%s)", separator, text_of(s, "port"), port_name(ports, number_of(s, "port")));
        separator = ", ";
    }
    unsigned long long to_controller = number_of(verdict, "controller");
    if (to_controller) {
        printf("%s%llu packet-in%s to the controller", separator, to_controller, to_controller > 1 ? "s" : "");
        separator = ", ";
    }
    cJSON_ArrayForEach (s, member(verdict, "drops")) {
        printf("%sdropped, %s: %s", separator, text_of(s, "reason"), text_of(s, "text"));
        separator = "; ";
    }
    printf("%s\n", *separator == ' ' ? " nothing happens to it" : "");
}
