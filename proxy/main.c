#include <stdio.h>

int main(void)
{
	puts("mongoward");
	return 0;
}
