/**
 * Finds the Chromium that the browser tests drive, and installs one where there is none: from the distribution as root on a
 * Debian-like system, else the build that Playwright brings. Prints its path when run by itself.
 */
import { accessSync, constants, existsSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { run } from './processes.mjs'

const require = createRequire(new URL('../test/package.json', import.meta.url))

/** The path of an executable Chromium. Rejects with one line that says what to run. */
export async function findChromium() {
  const wanted = process.env.WEFT_CHROMIUM
  if (wanted) {
    if (executable(wanted)) return wanted
    throw new Error(`WEFT_CHROMIUM names ${wanted}, which is no executable file: correct or unset it.`)
  }
  const found = present()
  if (found) return found
  const { code } = await install()
  const installed = present()
  if (installed) return installed
  throw new Error(`No Chromium found and none could be installed (exit code ${code}): ${remedy()}.`)
}

function present() {
  return [...places(), bundled()].find((path) => path !== undefined && executable(path))
}

function places() {
  const programs = ['PROGRAMFILES', 'PROGRAMFILES(X86)', 'LOCALAPPDATA']
    .map((name) => process.env[name])
    .filter(Boolean)
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']
  switch (process.platform) {
    case 'win32':
      return programs.flatMap((folder) =>
        ['Google\\Chrome\\Application\\chrome.exe', 'Chromium\\Application\\chrome.exe'].map((path) =>
          join(folder, path),
        ),
      )
    case 'darwin':
      return ['Chromium', 'Google Chrome'].map((name) => `/Applications/${name}.app/Contents/MacOS/${name}`)
    default:
      return ['/usr/bin', ...(process.env.PATH ?? '').split(delimiter)].flatMap((folder) =>
        folder === '' ? [] : names.map((name) => join(folder, name)),
      )
  }
}

/** Where Playwright keeps, or would keep, its own build. */
function bundled() {
  try {
    return require('playwright-core').chromium.executablePath()
  } catch {
    return undefined // its package is not installed, or it has no build for this platform
  }
}

async function install() {
  // What the installers say goes to stderr, so that stdout is the path alone.
  const say = async (command, args) => {
    console.error(`No Chromium found: ${command} ${args.join(' ')}`)
    const result = await run(command, args, {
      output: 'capture',
      env: { DEBIAN_FRONTEND: 'noninteractive' },
      seconds: 300,
    })
    if (result.code !== 0) console.error(result.output.trim().split('\n').slice(-5).join('\n'))
    return result
  }
  if (!debianAsRoot()) return say(process.execPath, [playwright(), 'install', 'chromium'])
  await say('apt-get', ['update'])
  return say('apt-get', ['install', '-y', 'chromium'])
}

function remedy() {
  return debianAsRoot()
    ? 'run `apt-get update && apt-get install -y chromium`, or set WEFT_CHROMIUM to the path of one'
    : 'run `npx playwright-core install chromium`, or set WEFT_CHROMIUM to the path of one'
}

function debianAsRoot() {
  return process.platform === 'linux' && process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')
}

function playwright() {
  return join(dirname(require.resolve('playwright-core/package.json')), 'cli.js')
}

function executable(path) {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href) {
  try {
    console.log(await findChromium())
  } catch (error) {
    console.error(error.message)
    process.exit(1)
  }
}
