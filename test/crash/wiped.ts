/**
 * Wipes a real server that holds so many commits and starts it again with its key and landmarks: clients over sockets bring everything back.
 * Afterwards a client that never was there before clones the repository, and every commit that was acknowledged before has to be in
 * the clone, acknowledged.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as within } from 'node:path'
import { Stream } from '../sim/random.ts'
import { type Join, type Member, NodeMember } from './member.ts'
import { freePort, ServerProcess } from './process.ts'

export interface Wiped {
  readonly clients: number
  /** Acknowledged before the server was wiped. */
  readonly commits: number
  /** Of these, how many the server lacks or does not acknowledge at the end. */
  readonly lost: number
  /** Until all of them were written and acknowledged, ms. */
  readonly writing: number
  /** From the start of the empty server until every client knows that it acknowledges again, ms. */
  readonly recovery: number
  /** What was not expected. */
  readonly oddities: readonly string[]
}

/** Commits of one member that wait for the server. */
const atOnce = 2_000

/** `join`: how clients come to the server; `page`: the folder of what it serves to browsers. */
export const wipeServer = async (
  clients: number,
  commits: number,
  seed: string,
  join: Join = NodeMember.join,
  page = '',
): Promise<Wiped> => {
  const folder = await mkdtemp(within(tmpdir(), 'weft-wiped-'))
  const store = within(folder, 'store')
  const port = await freePort(new Stream(seed, 'wiped').branch('port'))
  const oddities: string[] = []
  const members: Member[] = []
  let server = new ServerProcess(store, port, 'unlimited', page)
  try {
    await server.says('ready')
    for (let index = 0; index < clients; index++) members.push(await join(port, `client ${index}`, oddities))
    const each = Math.ceil(commits / clients)
    const all = clients * each
    const began = performance.now()
    for (let made = 0; made < each; made += atOnce)
      await Promise.all(members.map((one) => one.write(Math.min(atOnce, each - made))))
    await Promise.all(members.map((one) => one.holds(all)))
    const writing = Math.round(performance.now() - began)
    const [first] = members
    if (first === undefined) throw new Error('somebody has to be there')
    const before = await first.acknowledged()
    await server.kill()
    // The key and the landmarks are beside it.
    await rm(store, { recursive: true })
    const wiped = performance.now()
    server = new ServerProcess(store, port, 'unlimited', page)
    await server.says('ready')
    await Promise.all(members.map((one) => one.isBack()))
    const recovery = Math.round(performance.now() - wiped)
    await first.write(1)
    for (const one of members.splice(0)) await one.close()
    const late = await NodeMember.join(port, 'late', oddities)
    members.push(late)
    await late.holds(all + 1)
    const after = await late.acknowledged()
    const lost = [...before].filter((id) => !after.has(id)).length
    return { clients, commits: before.size, lost, writing, recovery, oddities }
  } finally {
    for (const one of members) await one.close()
    await server.kill()
    await rm(folder, { recursive: true, force: true })
  }
}
