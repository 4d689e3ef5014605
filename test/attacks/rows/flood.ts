/** Rows D7 and D8: floods of messages and of signatures that are worth nothing, and one user behind a thousand sessions. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { anonymous, Database, isRefusal, type Login, saved } from '@weft-db/engine'
import { memoryKeys, nodeRuntime } from '@weft-db/runtime/node'
import { socketIoTransport } from '@weft-db/socketio/client'
import { socketIoAcceptor } from '@weft-db/socketio/server'
import { memoryFiles } from '@weft-db/storage/memory'
import { limits } from '../../../packages/engine/src/bytes/limits.ts'
import { Quota } from '../../../packages/engine/src/replica/quota.ts'
import { defaultRates } from '../../../packages/engine/src/replica/rates.ts'
import { fingerprintBytes } from '../../../packages/engine/src/sync/fingerprint.ts'
import { readCertificate } from '../../../packages/engine/src/trust/certificate.ts'
import { Card } from '../../road/ring.ts'
import { Stranger, subscribing } from '../../road/stranger.ts'
import { stream } from '../../sim/random.ts'
import { mustHold, type Row } from '../row.ts'
import { cardName } from '../target.ts'

const path = '/board/flooded'

/** Accounts by name: a name is one owner, with however many sessions. */
const named: Login = {
  method: 'anonymous',
  check: async (credentials) => ({ owner: `user:${String(credentials)}`, name: String(credentials) }),
}

/** An authority on a port, which counts the signatures it verifies. */
class Flooded {
  readonly database: Database
  readonly port: number
  readonly url: string
  verified = 0
  readonly #http: Server

  private constructor(http: Server, key: Awaited<ReturnType<ReturnType<typeof nodeRuntime>['generateKey']>>) {
    const runtime = nodeRuntime()
    const files = memoryFiles()
    this.#http = http
    this.port = (http.address() as AddressInfo).port
    this.url = `http://127.0.0.1:${this.port}`
    this.database = new Database({
      schemas: [Card],
      runtime: {
        ...runtime,
        verify: (publicKey, message, signature) => {
          this.verified++
          return runtime.verify(publicKey, message, signature)
        },
      },
      storage: async () => ({ files, keys: memoryKeys(), mode: 'memory', lasting: true }),
      transports: [socketIoAcceptor(http, { onError: () => undefined })],
      authority: key,
      logins: [named],
      // Another limit's matter.
      rates: { sessionsPerAddress: { burst: 1e6, perSecond: 1 }, loginsPerAddress: { burst: 1e6, perSecond: 1 } },
    })
  }

  static async open(): Promise<Flooded> {
    const http = createServer()
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
    const flooded = new Flooded(http, await nodeRuntime().generateKey())
    await flooded.database.opened
    return flooded
  }

  async join(name: string): Promise<Database> {
    const files = memoryFiles()
    const client = new Database({
      schemas: [Card],
      runtime: nodeRuntime(),
      storage: async () => ({ files, keys: memoryKeys(), mode: 'memory', lasting: true }),
      transports: [socketIoTransport({ url: this.url })],
      captureRate: 1_000,
    })
    await client.login(anonymous(name))
    return client
  }

  async close(): Promise<void> {
    await this.database.close()
    this.#http.closeAllConnections()
    await new Promise((resolve) => this.#http.close(resolve))
  }
}

const quantile = (values: readonly number[], at: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * at))] ?? 0

/** One honest user writes, again and again, and says how long each write took to be saved. */
const acknowledged = async (client: Database, goesOn: () => boolean): Promise<number[]> => {
  const board = client.repository(path)
  await board.ready
  const took: number[] = []
  while (goesOn()) {
    const began = performance.now()
    await saved(board.create(Card, { title: 'honest' }), 'authority')
    took.push(performance.now() - began)
  }
  return took
}

/** A stranger in the name of that account, reconciling; undefined when it is kept out. */
const enter = async (url: string, name: string): Promise<Stranger | undefined> => {
  const stranger = await Stranger.proved(url)
  stranger.send({ kind: 'login', method: 'anonymous', credentials: name })
  const answer = await Promise.race([stranger.hears('certified'), stranger.hears('refused')])
  if (answer.kind === 'refused') {
    stranger.close()
    return undefined
  }
  stranger.certificate = answer.certificate
  stranger.send(subscribing(0, path))
  await stranger.hears('subscribe')
  stranger.sync([0, new Uint8Array(fingerprintBytes), true, null])
  await stranger.hears('sync')
  return stranger
}

const sessionOf = ({ certificate }: Stranger): string => {
  const read = readCertificate(certificate ?? new Uint8Array(0), nodeRuntime().hash)
  if (isRefusal(read)) throw new Error(read.code)
  return read.session
}

const commitsPerMessage = 400
/** Channels that one account may lose before it is kept out. */
const lossesPerAccount = defaultRates.offencesPerUser.burst + 1

/** Verifications that one channel may cost: what was under way when the last offence allowed was seen, and its own proof and certificate. */
const verificationsPerChannel = 64 + limits.offences + 8
/** Far beyond what is asked of an unburdened machine: what is counted is a server that stands still. */
const longestLag = 2_000
const longestAcknowledgement = 5_000

/**
 * D7: `trials` messages, from channels that each send a thousand commits with forged signatures, or frames that mean nothing, as fast as
 * they go, and come back when they are closed. A violation is a channel that makes the server verify on, a user who is not kept out, or an
 * honest user who is not served.
 */
export const floods: Row = async ({ trials }) => {
  const flooded = await Flooded.open()
  const ada = await flooded.join('Ada')
  let [violations, sent, channels, refusedReturns, mostVerified] = [0, 0, 0, 0, 0]
  try {
    const calm = await acknowledged(
      ada,
      (
        (left) => () =>
          left-- > 0
      )(30),
    )
    const delay = monitorEventLoopDelay({ resolution: 5 })
    delay.enable()
    let flooding = true
    const busy = acknowledged(ada, () => flooding)
    const forger = await nodeRuntime().generateKey()
    let [account, losses] = [0, 0]
    while (sent < trials) {
      const enters = await enter(flooded.url, `Mallory ${account}`)
      if (enters === undefined) {
        // Kept out: another account goes on.
        refusedReturns++
        account++
        losses = 0
        continue
      }
      channels++
      if (losses++ > lossesPerAccount) violations++
      const before = flooded.verified
      if (channels % 2 === 1) {
        const batch = await Promise.all(
          Array.from({ length: commitsPerMessage }, () =>
            enters.commit(path, cardName, { header: { session: sessionOf(enters) }, signer: forger }),
          ),
        )
        for (let message = 0; message < 3 && sent < trials; message++, sent += batch.length) enters.push(...batch)
        await enters.closed
        const verified = flooded.verified - before
        mostVerified = Math.max(mostVerified, verified)
        // The honest user's own writes are verified meanwhile.
        if (verified > verificationsPerChannel + 200) violations++
      } else {
        const burst = defaultRates.framesPerUser.burst + 4_000
        for (let message = 0; message < burst && sent < trials; message++, sent++)
          enters.send({ kind: 'unsubscribe', tag: 9 })
        if (sent < trials) await enters.closed
        else enters.close()
      }
    }
    flooding = false
    const took = await busy
    delay.disable()
    const lag = delay.percentile(99) / 1e6
    if (lag > longestLag || quantile(took, 0.99) > longestAcknowledgement) violations++
    mustHold(calm.length > 0 && took.length > 0, 'the honest user wrote nothing', violations)
    return {
      trials: sent,
      violations,
      channels,
      keptOut: refusedReturns,
      mostVerifiedByOneChannel: mostVerified,
      lagP99Milliseconds: Math.round(lag),
      calmP99Milliseconds: Math.round(quantile(calm, 0.99)),
      floodedP99Milliseconds: Math.round(quantile(took, 0.99)),
    }
  } finally {
    await ada.close()
    await flooded.close()
  }
}

/**
 * D8: `trials` sessions bring commits for ten minutes, all that they may: first those of one account, then anonymous ones of one address.
 * A violation is each commit beyond a tenth more than the share of one, and an honest user who gets less than all he asks for.
 */
export const sybils: Row = async ({ trials, seed }) => {
  const draws = stream(seed, 'sybils')
  let violations = 0
  const figures: Record<string, number> = {}
  const minutes = 10
  for (const kind of ['account', 'anonymous'] as const) {
    let now = 0
    const quota = new Quota({}, () => now)
    const gates = Array.from({ length: trials }, (_, at) => {
      const owner = kind === 'account' ? 'user:eve' : `anonymous:${at}`
      return { owner, gate: quota.gate(() => ({ owner, address: '192.0.2.66' })) }
    })
    const ada = quota.gate(() => ({ owner: 'user:ada', address: '192.0.2.66' }))
    let [taken, served] = [0, 0]
    for (let second = 0; second < minutes * 60; second++) {
      for (let part = 0; part < 10; part++, now += 100) {
        // As many tries as there are sessions, in an order that favours nobody.
        for (let attempt = 0; attempt < trials; attempt++) {
          const one = gates[draws.int(trials)]
          if (one === undefined || one.gate.bring(one.owner, { commits: 1, bytes: 300 }, false) !== undefined) continue
          one.gate.signed(one.owner, { commits: 1, bytes: 300 })
          taken++
        }
      }
      if (ada.bring('user:ada', { commits: 1, bytes: 300 }, false) === undefined) served++
    }
    const { burst, perSecond } = defaultRates.commitsPerUser
    const share = burst + perSecond * minutes * 60
    violations += Math.max(0, taken - Math.floor(share * 1.1)) + (minutes * 60 - served)
    figures[`${kind}PercentOfAShare`] = Math.round((100 * taken) / share)
  }
  return { trials, violations, ...figures }
}
