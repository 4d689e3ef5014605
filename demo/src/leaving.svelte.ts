/** Leaving the server by one's own choice, as if it were away: it lasts until one comes back, or loads the page again. */
import { db } from './database.ts'

class Leaving {
  hasLeft = $state(false)

  async leave(): Promise<void> {
    this.hasLeft = true
    await db.disconnect()
  }

  comeBack(): void {
    this.hasLeft = false
    db.connect()
  }
}

export const leaving = new Leaving()
