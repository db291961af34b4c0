// A worker that never says that it is loaded.
for (;;) Math.random();
