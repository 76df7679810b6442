/* unit.h - what every unit test includes first: cmocka, with what it wants before it. */
#ifndef TESTS_UNIT_UNIT_H
#define TESTS_UNIT_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Members of a table's case: bytes that may hold NULs, and how many they are. */
#define LITERAL(bytes) (bytes), sizeof(bytes) - 1

#endif
