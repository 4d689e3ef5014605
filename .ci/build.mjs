/** Builds what `npm start` and the browser tests run: the demo's page into demo/dist, the server into signal-server/dist. */
import { existsSync, realpathSync } from 'node:fs'
import { dirname, relative, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build as bundle, stop } from 'esbuild'
import { endAll, onStop, run } from './processes.mjs'

const top = fileURLToPath(new URL('..', import.meta.url))
const path = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url))
export const serverBundle = path('signal-server/dist/main.js')

/** Resolves when both are built; rejects with what went wrong. */
export async function build() {
  if (!existsSync(path('demo/vite.config.ts'))) throw new Error('demo/vite.config.ts is missing.')
  const page = run(process.execPath, [path('demo/node_modules/vite/bin/vite.js'), 'build', '--logLevel', 'warn'], {
    cwd: path('demo'),
    output: 'capture',
    seconds: 120,
  })
  // Both end before either is judged, and esbuild's own process with them: nothing is left running.
  const [server, { code, output }] = await Promise.all([buildServer().catch((error) => error), page])
  await stop()
  if (code !== 0) throw new Error(`The demo does not build:\n${output}`)
  if (server instanceof Error) throw server
  if (output.trim() !== '') console.error(output.trim())
}

async function buildServer() {
  await bundle({
    absWorkingDir: top,
    entryPoints: ['signal-server/src/main.ts'],
    outfile: 'signal-server/dist/main.js',
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    conditions: ['weft-source'],
    sourcemap: true,
    logLevel: 'warning',
    plugins: [{ name: 'packages-outside', setup: keepPackagesOutside }],
  })
}

/**
 * Our own packages go into the bundle. The others stay outside and are named by their place in node_modules, because pnpm shows a
 * package only to those that depend on it, and the bundle stands elsewhere.
 */
function keepPackagesOutside(setup) {
  const inside = Symbol('asked by this plugin')
  const home = realpathSync(dirname(dirname(serverBundle)))
  setup.onResolve({ filter: /^[^./]/ }, async ({ path: name, pluginData, kind, importer, resolveDir }) => {
    if (pluginData === inside || kind === 'entry-point' || name.startsWith('node:')) return undefined
    if (name.startsWith('@weft-db/') || /^[A-Za-z]:/.test(name)) return undefined
    const found = await setup.resolve(name, { kind, importer, resolveDir, pluginData: inside })
    if (found.errors.length > 0 || found.external) return found
    const place = relative(`${home}${sep}dist`, realpathSync(found.path)).split(sep).join('/')
    return { path: place, external: true }
  })
}

if (process.argv[1] && import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href) {
  onStop(async (code) => {
    await endAll()
    process.exit(code)
  })
  try {
    await build()
  } catch (error) {
    console.error(error.message)
    process.exit(1)
  }
}
