#!/usr/bin/env node
// The `pebbles` command. Plain JavaScript, so that a Node that cannot run TypeScript says so in one sentence.
const major = Number(process.versions.node.split('.')[0])
if (major < 24) {
  console.error(
    `pebbles needs Node 24 or newer; this is ${process.version}. In the checkout, "npx pebbles" brings its own.`,
  )
  process.exit(1)
}
await import('../src/main.ts')
