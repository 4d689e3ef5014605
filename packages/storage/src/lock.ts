/**
 * A lock on a directory, made of files, because Node has no other. Each holding has a number: the files `=lock.1`, `=lock.2`, and so on.
 * The highest says who holds the lock. It stays when the lock is released, emptied; nothing is ever taken by removing a file, which would
 * let two processes that found the same stale lock each remove the other's new one.
 *
 * To take the lock, the highest file is judged. If its holder is gone, the next number is made by `link`, which fails when another process
 * was faster and shows the file only when all of it is written. Whoever has made a number then looks again: he was late, and holds
 * nothing, if there is a higher one by now.
 *
 * A holder on this machine, seen from the same process namespace, is judged exactly: by process id and start time, within one boot. Any
 * other (another container or machine on the same volume, or a system without /proc) is judged by the time of its file, which a holder
 * renews: it counts as gone after 15 s without.
 */
import { randomUUID } from 'node:crypto'
import { link, readdir, readFile, readlink, stat, truncate, unlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { StorageError } from '@weft-db/engine'

interface Holder {
  readonly pid: number
  /** Boot and process namespace; empty where the system does not tell. */
  readonly place: string
  /** Start of the process, in ticks since the boot; empty where the system does not tell. */
  readonly start: string
}

const renewal = 2_000
const patience = 15_000
/** Files behind the highest that stay, so that a listing made meanwhile always meets a high one. */
const kept = 8
const pattern = /^=lock\.([1-9][0-9]{0,14})$/

/** Rejects with `AlreadyOpen` when the lock is held, by whatever process, this one too. */
export const lockDirectory = async (path: string): Promise<() => Promise<void>> => {
  const draft = join(path, `=draft.${randomUUID()}`)
  await writeFile(draft, JSON.stringify(await self()), { flag: 'wx', mode: 0o600 })
  try {
    for (;;) {
      const highest = (await numbers(path)).at(-1) ?? 0
      if (highest > 0 && (await isHeld(join(path, `=lock.${highest}`), async () => (await stat(draft)).mtimeMs)))
        throw new StorageError('AlreadyOpen', path)
      const mine = highest + 1
      const file = join(path, `=lock.${mine}`)
      if (!(await take(draft, file))) continue
      try {
        const all = await numbers(path)
        if (all.at(-1) === mine) {
          for (const old of all) if (old < mine - kept) await unlink(join(path, `=lock.${old}`)).catch(absent)
          return hold(file)
        }
        await unlink(file).catch(absent)
      } catch (error) {
        // Or this process would hold for as long as it lives what it was not given.
        await truncate(file, 0).catch(() => undefined)
        throw error
      }
    }
  } finally {
    // One that stays behind holds nothing.
    await unlink(draft).catch(() => undefined)
  }
}

/** Whether somebody holds the lock of the directory. Nothing is written, so the time is this machine's. */
export const isLocked = async (path: string): Promise<boolean> => {
  const highest = (await numbers(path)).at(-1)
  return highest !== undefined && isHeld(join(path, `=lock.${highest}`), async () => Date.now())
}

/** Renews the file until it is released. */
const hold = (file: string): (() => Promise<void>) => {
  const timer = setInterval(() => {
    const now = new Date()
    // A renewal that fails is made up for by the next one.
    utimes(file, now, now).catch(() => undefined)
  }, renewal)
  timer.unref()
  let released: Promise<void> | undefined
  return () => {
    clearInterval(timer)
    released ??= truncate(file, 0).catch(absent)
    return released
  }
}

const numbers = async (path: string): Promise<number[]> =>
  (await readdir(path)).flatMap((name) => pattern.exec(name)?.slice(1).map(Number) ?? []).sort((a, b) => a - b)

const take = async (draft: string, file: string): Promise<boolean> => {
  try {
    await link(draft, file)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
}

/** `now`: ms since 1970, as the file system counts them where that can be told. */
const isHeld = async (file: string, now: () => Promise<number>): Promise<boolean> => {
  // A file that is gone was superseded; the next look finds the higher one.
  const holder = parse(await readFile(file, 'utf8').catch(absent))
  if (holder === undefined) return false
  const { place } = await self()
  if (place !== '' && place === holder.place) return holder.start === (await startOf(holder.pid))
  const [theirs, ours] = await Promise.all([stat(file).catch(absent), now()])
  return theirs !== undefined && ours - theirs.mtimeMs < patience
}

/** Undefined for an emptied file, and for what a power cut made of one. */
const parse = (text: string | undefined): Holder | undefined => {
  try {
    const value: unknown = JSON.parse(text ?? '')
    if (typeof value !== 'object' || value === null || !('pid' in value && 'place' in value && 'start' in value)) return
    const { pid, place, start } = value
    if (typeof pid !== 'number' || typeof place !== 'string' || typeof start !== 'string') return
    return { pid, place, start }
  } catch {
    return
  }
}

const self = async (): Promise<Holder> => {
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')
  const namespace = await readlink('/proc/self/ns/pid').catch(() => '')
  const start = await startOf(process.pid)
  const place = boot !== '' && namespace !== '' && start !== undefined ? `${boot.trim()} ${namespace}` : ''
  return { pid: process.pid, place, start: start ?? '' }
}

/** Field 22 of /proc/PID/stat (proc(5)); undefined when no such process is alive. The name, in parentheses, may hold anything. */
const startOf = async (pid: number): Promise<string | undefined> => {
  const line = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  const [state, ...fields] = line.slice(line.lastIndexOf(')') + 2).split(' ')
  return state === 'Z' || state === 'X' ? undefined : fields[18]
}

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined)

const absent = (error: unknown): undefined => {
  if (codeOf(error) !== 'ENOENT') throw error
}
