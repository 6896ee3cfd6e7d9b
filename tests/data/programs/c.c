#include <stdio.h>

static int count(const char *text, char wanted) {
    int found = 0;
    for (int i = 0; text[i]; i++) {
        if (text[i] == wanted) {
            found += 1;
        }
    }
    return found;
}

int main(int argc, char **argv) {
    printf("%d", count(argv[0], 97));
    return 0;
}
