/** The page of the relay test: a member of the mesh that shows its addresses to nobody. */
import { Card, rules, schemas } from '@weft-db/demo/shared'
import { anonymous, diagnose, open, saved } from '@weft-db/weft'

const database = open({ schemas, rules, mesh: 'relay' })
const board = database.repository('/board/behind-relays')
const query = board.query(Card)

const stand = {
  /** Comes to the board, as its owner or by an invitation; gives the code of an invitation for another. */
  come: async (name: string, code?: string): Promise<string> => {
    await database.login(anonymous(name))
    if (code !== undefined) {
      await database.join(board.path, code)
      return ''
    }
    await saved(board.create(Card, { title: 'By the server' }), 'authority')
    return board.invite('editor')
  },
  write: (title: string): void => void board.create(Card, { title }),
  titles: (): string[] => (query.current ?? []).map(({ title }) => title).sort(),
  paths: (): string[] => database.mesh.paths.map((path) => diagnose(path)?.kind ?? path.kind),
  isOnline: (): boolean => database.mesh.server !== undefined,
  isSaved: (): boolean => database.status.unacknowledged === 0,
}
declare global {
  var member: typeof stand
}
globalThis.member = stand
