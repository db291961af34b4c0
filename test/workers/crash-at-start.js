// A worker whose native code crashes as soon as it is loaded.
process.kill(process.pid, 'SIGSEGV');
for (;;) Math.random();
