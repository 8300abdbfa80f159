#include "support/run_catch.h"

int main(int argc, char** argv) { return weft::testing::run_catch(argc, argv); }
