/** `npm run bench -- [reconcile|propagate|mesh|local|storage|text|crypto] [--json] [--quick] [--trace FILE]`: see docs/benchmarks.md. */
import { parseArgs } from 'node:util'
import type { Area } from './area.ts'
import { linesOf } from './figure.ts'
import { tableOf } from './table.ts'

/** Loaded when asked for, so that what one area needs is no other's matter. */
const areas: Readonly<Record<string, () => Promise<Area>>> = {
  reconcile: async () => (await import('./reconcile.ts')).reconcile,
  crypto: async () => (await import('./crypto.ts')).crypto,
  local: async () => (await import('./local.ts')).local,
  storage: async () => (await import('./storage.ts')).storage,
  text: async () => (await import('./text.ts')).text,
  propagate: async () => (await import('./propagate.ts')).propagate,
  mesh: async () => (await import('./mesh.ts')).mesh,
}
const defaultTrace = '../shared/data/automerge-paper.json.gz'

const read = () => {
  try {
    return parseArgs({
      allowPositionals: true,
      options: { json: { type: 'boolean' }, quick: { type: 'boolean' }, trace: { type: 'string' } },
    })
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error))
    process.exit(2)
  }
}

// Every client of y-websocket listens for the end of the process.
process.setMaxListeners(0)
const { values, positionals } = read()
const unknown = positionals.filter((name) => !Object.hasOwn(areas, name))
if (unknown.length > 0) {
  console.error(`The bench has no area ${unknown.join(', ')}: there are ${Object.keys(areas).join(', ')}.`)
  process.exit(2)
}
for (const [name, load] of Object.entries(areas)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue
  const began = performance.now()
  const area = await load()
  const lines = linesOf(await area({ quick: values.quick === true, trace: values.trace ?? defaultTrace }))
  if (values.json === true) for (const line of lines) console.log(JSON.stringify(line))
  else console.log(`${tableOf(lines)}\n`)
  console.error(`${name} took ${((performance.now() - began) / 1_000).toFixed(1)} s`)
}
// Some peers leave timers behind.
process.exit()
