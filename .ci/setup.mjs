/**
 * Brings node_modules to what the lockfile says. Runs before every npm script and does nothing when they already agree. With `bench` also
 * the bench's own, which nobody else waits for: what cannot be had is left out there, and the bench measures the rest.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
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

onStop(async (code) => {
  await endAll()
  process.exit(code)
})

const agree = (one, other) => existsSync(one) && readFileSync(one, 'utf8') === readFileSync(other, 'utf8')

// CI keeps pnpm from asking questions nobody is there to answer.
const install = (folder) =>
  run('npx', ['--yes', manifest.packageManager, '--dir', folder, 'install', '--frozen-lockfile'], {
    env: { CI: 'true' },
  })

if (!agree('node_modules/.pnpm/lock.yaml', 'pnpm-lock.yaml')) {
  const { code } = await install('.')
  if (code !== 0) process.exit(code)
}

if (process.argv[2] === 'bench') {
  const [lockfile, installed] = ['test/bench/pnpm-lock.yaml', 'test/bench/node_modules/.installed.yaml']
  if (!agree(installed, lockfile)) {
    const { code } = await install('test/bench')
    if (code === 0) writeFileSync(installed, readFileSync(lockfile))
    else console.error('The peers of the bench could not be installed: those that are missing are left out.')
  }
}
process.exit()
