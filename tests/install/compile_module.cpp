#include <reprise/reprise.h>

int main(int, char** argv) { reprise::compile(reprise::load_program(argv[1])).save(argv[2]); }
