/** Brings node_modules to what the lockfile says. Runs before every npm script and does nothing when they already agree. */
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { endAll, onStop, run } from './processes.mjs'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))
const manifest = JSON.parse(readFileSync('package.json', 'utf8'))
const [major, minor] = process.versions.node.split('.').map(Number)
const [wantedMajor, wantedMinor] = manifest.engines.node.replace('>=', '').split('.').map(Number)
if (major < wantedMajor || (major === wantedMajor && minor < wantedMinor)) {
  console.error(
    `Weft needs Node ${wantedMajor}.${wantedMinor} or later and this is Node ${process.versions.node}: install a newer one from https://nodejs.org.`,
  )
  process.exit(1)
}

const installed = 'node_modules/.pnpm/lock.yaml'
if (!existsSync(installed) || readFileSync(installed, 'utf8') !== readFileSync('pnpm-lock.yaml', 'utf8')) {
  onStop(async (code) => {
    await endAll()
    process.exit(code)
  })
  // CI keeps pnpm from asking questions nobody is there to answer.
  const { code } = await run('npx', ['--yes', manifest.packageManager, 'install', '--frozen-lockfile'], {
    env: { CI: 'true' },
  })
  process.exit(code)
}
