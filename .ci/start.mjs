/**
 * Builds, then becomes the server: the bundle runs in this very process, so there is nobody to leave behind. PORT is the port (8080
 * when unset), WEFT_DATA the folder that the server writes to (.weft when unset).
 */
import { pathToFileURL } from 'node:url'
import { build, serverBundle } from './build.mjs'
import { endAll, onStop } from './processes.mjs'

process.env.PORT ??= '8080'
process.env.WEFT_DATA ??= '.weft'

let serving = false
onStop(async (code) => {
  // Once it serves, the server's own handlers have the signal; only a lost parent has to be passed on.
  if (serving) return void process.kill(process.pid, 'SIGTERM')
  await endAll()
  process.exit(code)
})
try {
  await build()
} catch (error) {
  console.error(error.message)
  process.exit(1)
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.removeAllListeners(signal)
serving = true
await import(pathToFileURL(serverBundle).href)
