/** What a screen reader should hear. Saying the same sentence twice is heard twice. */
class Announcements {
  text = $state('')
  turn = $state(0)

  say(text: string): void {
    this.text = text
    this.turn++
  }
}

export const announcements = new Announcements()
