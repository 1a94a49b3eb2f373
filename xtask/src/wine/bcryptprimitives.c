/* The one function of bcryptprimitives.dll that Rust's standard library imports, for a Wine that
 * lacks this library. Where Wine has its own, that one is found first. */

#include <windows.h>
#include <ntsecapi.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(BYTE *bytes, SIZE_T len)
{
    /* The older function takes lengths of 32 bits. */
    while (len > 0) {
        ULONG part = len < MAXLONG ? (ULONG)len : MAXLONG;

        if (!RtlGenRandom(bytes, part))
            return FALSE;
        bytes += part;
        len -= part;
    }
    return TRUE;
}
