export type SseEvent = { readonly type: string; readonly data: string; readonly id: string | undefined };

/** Reads a `text/event-stream` in whatever pieces it arrives (WHATWG HTML, section 9.2.6). */
export function createSseParser(): { push(text: string): SseEvent[] } {
  let rest = '';
  let type = '';
  let data: string[] = [];
  let id: string | undefined;

  const line = (text: string): SseEvent | undefined => {
    if (text === '') {
      const event = data.length === 0 ? undefined : { type: type || 'message', data: data.join('\n'), id };
      type = '';
      data = [];
      return event;
    }
    const colon = text.indexOf(':');
    const field = colon === -1 ? text : text.slice(0, colon);
    const value = colon === -1 ? '' : text.slice(colon + (text[colon + 1] === ' ' ? 2 : 1));
    if (field === 'event') type = value;
    else if (field === 'data') data.push(value);
    else if (field === 'id' && !value.includes('\0')) id = value;
    return undefined;
  };

  return {
    push(text) {
      const events: SseEvent[] = [];
      rest += text;
      // A carriage return at the very end may be the first half of CRLF.
      const lines = rest.split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop() ?? '';
      for (const each of lines) {
        const event = line(each);
        if (event !== undefined) events.push(event);
      }
      return events;
    },
  };
}
