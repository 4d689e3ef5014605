/**
 * The ready-made authority of the demo, with its page, on one port. PORT is the port (8080 when unset, 0 for any free one), HOST where it
 * listens (this machine alone when unset), WEFT_DATA the folder of the logs (.weft when unset), WEFT_KEY the key's file (beside that
 * folder when unset). WEFT_STUN and WEFT_TURN are addresses of STUN and TURN servers for channels between browsers, apart by blanks, and
 * WEFT_TURN_SECRET is what the TURN servers share with this one. With WEFT_ACCEPT_LOSS=1 a server that lost its disk goes on without what
 * nobody brings back. SIGINT, SIGTERM and SIGHUP end it once all that is under way is stored; a second one ends it at once.
 */
import { fileURLToPath } from 'node:url'
import { rules, schemas } from '@weft-db/demo/shared'
import { type Server, serve } from '@weft-db/server'

/** How long closing may take, ms. */
const patience = 5_000
const { PORT = '8080', HOST = '127.0.0.1', WEFT_DATA = '.weft', WEFT_KEY, WEFT_ACCEPT_LOSS } = process.env
const { WEFT_STUN = '', WEFT_TURN = '', WEFT_TURN_SECRET = '' } = process.env

let server: Server | undefined
let stopping = false
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const) {
  process.on(signal, () => {
    if (stopping || server === undefined) process.exit(code)
    stopping = true
    void stop(server)
  })
}

const stop = async (running: Server): Promise<void> => {
  setTimeout(() => fail('The server did not close in time.'), patience).unref()
  try {
    await running.close()
  } catch (error) {
    fail(messageOf(error))
  }
  process.exit(0)
}

const fail = (line: string): never => {
  console.error(line)
  process.exit(1)
}

const addresses = (text: string): string[] => text.split(/\s+/).filter((address) => address !== '')

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const port = Number(PORT)
if (!Number.isInteger(port) || port < 0 || port > 65_535 || PORT.trim() === '')
  fail(`PORT is ${PORT}: give a number from 0 to 65535.`)
try {
  server = await serve({
    schemas,
    rules,
    data: WEFT_DATA,
    ...(WEFT_KEY !== undefined && { keyFile: WEFT_KEY }),
    acceptLoss: WEFT_ACCEPT_LOSS === '1',
    port,
    host: HOST,
    ice: {
      stun: addresses(WEFT_STUN),
      ...(WEFT_TURN !== '' && { turn: { urls: addresses(WEFT_TURN), secret: WEFT_TURN_SECRET } }),
    },
    // The same from src and from dist.
    static: fileURLToPath(new URL('../../demo/dist', import.meta.url)),
    log: (line) => console.error(line),
  })
} catch (error) {
  fail(messageOf(error))
}
console.log(`Weft is at ${server?.url}`)
if (HOST === '127.0.0.1')
  console.log('Only this machine reaches it. HOST=0.0.0.0 opens it to others, who need https in front of it.')
