/** The rectangle tool, lent to the reader for one rectangle. */
import type { Annotation, Managers } from '../ohif';
import { cornerstoneOf, cornerstoneToolsOf } from './host';
import { RECTANGLE } from './region';

export class RegionDrawing {
  private end: () => void = () => undefined;

  constructor(private readonly managers: Managers) {}

  /** Call `done` once the reader has drawn a rectangle. */
  start(done: () => void): void {
    this.cancel();
    const before = this.activeTool();
    this.activate(RECTANGLE);
    const { eventTarget } = cornerstoneOf(this.managers);
    const event = cornerstoneToolsOf(this.managers).Enums.Events.ANNOTATION_COMPLETED;
    const listener = (completed: Event) => {
      const { annotation } = (completed as CustomEvent<{ annotation: Annotation }>).detail;
      if (annotation.metadata.toolName !== RECTANGLE) return;
      eventTarget.removeEventListener(event, listener);
      // The tool is in the middle of finishing its rectangle.
      queueMicrotask(() => {
        this.cancel();
        done();
      });
    };
    eventTarget.addEventListener(event, listener);
    this.end = () => {
      eventTarget.removeEventListener(event, listener);
      if (before && this.activeTool() === RECTANGLE) this.activate(before);
    };
  }

  /** Give back the tool that was active before, unless the reader took another one meanwhile. */
  cancel(): void {
    this.end();
    this.end = () => undefined;
  }

  private activeTool(): string | undefined {
    const { toolGroupService, viewportGridService } = this.managers.servicesManager.services;
    const viewportId = viewportGridService.getActiveViewportId();
    return viewportId === null ? undefined : toolGroupService.getActiveToolForViewport(viewportId);
  }

  private activate(toolName: string): void {
    this.managers.commandsManager.run('setToolActiveToolbar', { toolName });
  }
}
