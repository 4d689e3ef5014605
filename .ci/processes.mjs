/**
 * Child processes that cannot be left behind. Every child leads a process group of its own, and ending it ends the group and
 * whatever its descendants started outside the group (a browser does), first politely, then by force.
 */
import { spawn, spawnSync } from 'node:child_process'

const windows = process.platform === 'win32'
const grace = 3_000
const running = new Set()

/**
 * Runs a command to its end. `output` is 'inherit' or 'capture'. Resolves with { code, ended, left, output }: the exit code,
 * whether `end` or `seconds` cut it short, and whether it had left processes behind (they are ended too).
 */
export function run(command, args, { cwd, env, seconds, output = 'inherit' } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      detached: !windows,
      stdio: ['ignore', ...(output === 'inherit' ? ['inherit', 'inherit'] : ['pipe', 'pipe'])],
      shell: windows && !command.endsWith('.exe'),
    })
    let text = ''
    child.stdout?.setEncoding('utf8').on('data', (part) => (text += part))
    child.stderr?.setEncoding('utf8').on('data', (part) => (text += part))
    const entry = { child, ended: false }
    running.add(entry)
    const limit = seconds === undefined ? undefined : setTimeout(() => end(entry), seconds * 1_000)
    child.once('error', (error) => (text += `${error.message}\n`))
    const finish = async (code) => {
      clearTimeout(limit)
      if (entry.ended) await entry.gone
      const left = child.pid !== undefined && signalGroup(child.pid, 'SIGKILL')
      running.delete(entry)
      resolve({ code: code ?? 1, ended: entry.ended, left, output: text })
    }
    // A process left behind keeps the pipes open, so the exit counts, not the pipes' end; the pause lets the last lines arrive.
    child.once('exit', (code) => setTimeout(finish, 50, code))
    if (child.pid === undefined) child.once('error', () => finish(127))
  })
}

/** Ends all children and everything below them; resolves when they are gone. */
export async function endAll() {
  await Promise.all([...running].map(end))
}

/**
 * Calls `stop` once, with the signal's exit code, on SIGINT, SIGTERM or SIGHUP, and when the parent process dies: npm passes a
 * signal to its shell, which dies of it without telling its own child.
 */
export function onStop(stop) {
  let stopped = false
  const once = (code) => {
    if (stopped) return
    stopped = true
    stop(code)
  }
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ]) {
    process.on(signal, () => once(code))
  }
  const parent = process.ppid
  if (!windows) setInterval(() => process.ppid !== parent && once(143), 200).unref()
}

async function end(entry) {
  if (entry.ended) return entry.gone
  entry.ended = true
  entry.gone = (async () => {
    const { child } = entry
    if (child.pid === undefined) return
    if (windows) {
      spawnSync('taskkill', ['/pid', String(child.pid), '/T', '/F'])
      return
    }
    const below = descendants(child.pid)
    signalGroup(child.pid, 'SIGTERM')
    for (const pid of below) signalOne(pid, 'SIGTERM')
    const last = Date.now() + grace
    while (Date.now() < last && (signalGroup(child.pid, 0) || below.some((pid) => signalOne(pid, 0)))) {
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    for (const pid of [...below, ...descendants(child.pid)]) signalOne(pid, 'SIGKILL')
    signalGroup(child.pid, 'SIGKILL')
  })()
  return entry.gone
}

function descendants(root) {
  const children = new Map()
  for (const line of spawnSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' }).stdout?.split('\n') ?? []) {
    const [pid, parent] = line.trim().split(/\s+/).map(Number)
    if (pid && parent) children.set(parent, [...(children.get(parent) ?? []), pid])
  }
  const found = []
  for (let queue = [root]; queue.length > 0; ) {
    const below = children.get(queue.pop()) ?? []
    found.push(...below)
    queue.push(...below)
  }
  return found
}

function signalGroup(pid, signal) {
  return !windows && signalOne(-pid, signal)
}

/** False when there is nobody to signal. */
function signalOne(pid, signal) {
  try {
    return process.kill(pid, signal)
  } catch {
    return false
  }
}
