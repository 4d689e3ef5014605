/** The server that is killed: `server.ts FOLDER PORT [unlimited] [PAGE]`. It says when it opens its store and when it listens, and ends with its parent. */
import { serve } from '@weft-db/server'
import { Card } from './board.ts'

const [data = '', port = '0', rates = '', page = ''] = process.argv.slice(2)
process.stdin.on('end', () => process.exit(1)).resume()
console.log('opening')
const unlimited = { burst: 1e9, perSecond: 1e9 }
await serve({
  schemas: [Card],
  data,
  port: Number(port),
  log: (line) => console.error(line),
  ...(page !== '' && { static: page }),
  ...(rates === 'unlimited' && {
    rates: { commitsPerUser: unlimited, bytesPerUser: unlimited, framesPerUser: unlimited },
  }),
})
console.log('ready')
