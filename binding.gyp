{
  # The addon itself is compiled for any CPU of its kind; the kernels once per instruction set, each in a library
  # of its own, so that no function compiled for one is ever linked into another.
  'variables': {
    # 1 for what `npm run test:sanitize` loads: it stops at the first fault that a sanitizer sees.
    'sanitize%': 0,
    'kernels': [ 'native/variant.cc' ],
    'warnings': [ '-Wall', '-Wextra', '-Wno-ignored-attributes', '-Wno-psabi', '-Wno-maybe-uninitialized' ],
    # No -ffast-math: the search relies on NaN and infinity.
    'optimise': [ '-O3', '-ffp-contract=fast', '-fno-math-errno', '-fno-trapping-math', '-fvisibility=hidden', '-fno-tree-vectorize', '-fno-tree-slp-vectorize' ],
  },
  'target_defaults': {
    'conditions': [
      [ 'sanitize==1', {
        'defines': [ 'EVOLAYER_SANITIZE' ],
        # Null pointers and the ends of objects are AddressSanitizer's to see; there are no vtables. Checks are calls,
        # as compiling them in place takes minutes.
        'cflags_cc': [
          '-O1', '-g1', '-fno-omit-frame-pointer', '-fsanitize=address,undefined', '-fno-sanitize=null,alignment,object-size,vptr',
          '-fno-sanitize-recover=all', '--param=asan-instrumentation-with-call-threshold=0',
        ],
        'cflags_cc!': [ '-O3' ],
        'ldflags': [ '-fsanitize=address,undefined' ],
      } ],
    ],
    'cflags_cc!': [ '-O2', '-std=gnu++17', '-std=gnu++20' ],
    'cflags_cc': [ '-std=c++17', '-fno-exceptions', '-fno-rtti', '<@(warnings)' ],
    'xcode_settings': {
      'CLANG_CXX_LANGUAGE_STANDARD': 'c++17',
      'GCC_OPTIMIZATION_LEVEL': '3',
      'OTHER_CPLUSPLUSFLAGS': [ '<@(warnings)', '<@(optimise)' ],
    },
  },
  'targets': [
    {
      'target_name': 'kernels_base',
      'type': 'static_library',
      'sources': [ '<@(kernels)' ],
      'cflags_cc': [ '<@(optimise)' ],
      'defines': [ 'EVOLAYER_LANES=4', 'EVOLAYER_VARIANT=kBase', 'EVOLAYER_NAME="base"' ],
    },
    {
      'target_name': 'evolayer',
      'sources': [ 'native/addon.cc', 'native/check.cc' ],
      'cflags_cc': [ '-fvisibility=hidden' ],
      'defines': [ 'NAPI_VERSION=8' ],
      'dependencies': [ 'kernels_base' ],
      'conditions': [
        [ 'target_arch=="x64"', { 'dependencies': [ 'kernels_avx2', 'kernels_avx512' ] } ],
      ],
    },
  ],
  'conditions': [
    [ 'target_arch=="x64"', {
      'targets': [
        {
          'target_name': 'kernels_avx2',
          'type': 'static_library',
          'sources': [ '<@(kernels)' ],
          'cflags_cc': [ '<@(optimise)', '-mavx2', '-mfma' ],
          'xcode_settings': { 'OTHER_CPLUSPLUSFLAGS': [ '-mavx2', '-mfma' ] },
          'defines': [ 'EVOLAYER_LANES=8', 'EVOLAYER_VARIANT=kAvx2', 'EVOLAYER_NAME="avx2"' ],
        },
        {
          'target_name': 'kernels_avx512',
          'type': 'static_library',
          'sources': [ '<@(kernels)' ],
          'cflags_cc': [ '<@(optimise)', '-mavx512f', '-mavx512vl', '-mavx512dq', '-mavx512bw', '-mfma', '-mprefer-vector-width=512' ],
          'xcode_settings': { 'OTHER_CPLUSPLUSFLAGS': [ '-mavx512f', '-mavx512vl', '-mavx512dq', '-mavx512bw', '-mfma' ] },
          'defines': [ 'EVOLAYER_LANES=16', 'EVOLAYER_VARIANT=kAvx512', 'EVOLAYER_NAME="avx512"' ],
        },
      ],
    } ],
  ],
}
