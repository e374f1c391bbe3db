"""Journeys through the page: what a person does, with what must have come of it on the server."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.app.conftest import (
    App,
    answered,
    drag,
    folder_of,
    get,
    marks,
    open_id,
    opened,
    paint_example,
    saved,
    scene,
    until,
)  # fmt: skip

from vicl.files.packaged import WEIGHTS

pytestmark = [pytest.mark.slow, pytest.mark.browser]
Serve = Callable[..., App]


CUT = """[...document.querySelectorAll('#gallery, #gallery *:not(.clip)')]
    .filter((one) => one.scrollWidth > one.clientWidth + 1)
    .filter((one) => getComputedStyle(one).overflowX !== 'visible')
    .map((one) => one.outerHTML)"""
"""What is cut off at the right, but for names, which end in an ellipsis."""


def test_from_paint_to_export(page: Any, serve: Serve, tmp_path: Path) -> None:
    app = serve(folder_of(tmp_path / "photos", 4))
    opened(page, app)
    paint_example(page)
    first = open_id(page)
    assert get(page, "/project")["counts"]["examples"] == 1
    answered(page, 3)
    page.keyboard.press("j")
    until(page, "document.querySelector('#this-facts').textContent.includes('sure')")
    assert open_id(page) != first
    # Correct it, and promote it with its answer.
    drag(page, (20, 20), (60, 20))
    saved(page)
    second = open_id(page)
    page.keyboard.press("m")
    saved(page)
    page.wait_for_selector(f".tile[data-id='{second}'] .badge.example")
    page.keyboard.press("j")
    third = open_id(page)
    answered(page, 2)
    page.keyboard.press("a")
    page.wait_for_selector(f".tile[data-id='{third}'] .badge.accepted")
    assert open_id(page) != third
    page.click("#open-export")
    with page.expect_download() as download:
        page.click("dialog button[type=submit]")
    with zipfile.ZipFile(download.value.path()) as archive:
        names = archive.namelist()
    assert any(name.endswith(".png") for name in names)
    assert any(name.endswith(".vicl") for name in names)
    with page.expect_download() as download:
        page.click("text=Only the prompt file")
    prompt = tmp_path / "prompt.vicl"
    download.value.save_as(prompt)
    page.keyboard.press("Escape")
    # Another project takes the prompt file up.
    other = serve(folder_of(tmp_path / "others", 2))
    opened(page, other)
    page.click("#open-import")
    page.locator("dialog input[accept='.vicl']").set_input_files(prompt)
    until(page, "[...document.querySelectorAll('.badge.example')].length >= 2")


def test_a_broken_picture_says_why(page: Any, serve: Serve, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "photos", 1)
    scene(folder / f"a{'_long' * 30}_name.png", 1)
    (folder / "torn.png").write_bytes((folder / "000.png").read_bytes()[:900])
    opened(page, serve(folder))
    assert "torn.png" in page.text_content(".tile .why")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nno more")
    page.click("#open-import")
    page.locator("dialog input[accept^='image']").set_input_files(
        [broken, scene(tmp_path / "good.png", 2)]
    )
    page.wait_for_selector("dialog .problem")
    assert "broken.png" in page.text_content("dialog .problem")
    page.keyboard.press("Escape")
    until(page, "document.querySelectorAll('.tile img').length === 3")
    assert page.evaluate(CUT) == []


def test_two_tabs(page: Any, serve: Serve, tmp_path: Path) -> None:
    app = serve(folder_of(tmp_path / "photos", 1))
    opened(page, app)
    other = page.context.new_page()
    opened(other, app)
    one = open_id(page)
    drag(page, (60, 60), (90, 60))
    saved(page)
    # The other tab knows nothing of that stroke: its own goes on top, and its undo is refused.
    drag(other, (60, 160), (90, 160))
    saved(other)
    assert get(page, f"/images/{one}/edits")["undo"] == 2
    page.keyboard.press("Control+z")
    page.wait_for_selector("#notes div")
    assert "Another tab" in page.text_content("#notes")
    assert get(page, f"/images/{one}/edits")["undo"] == 2
    page.keyboard.press("Control+z")
    saved(page)
    assert get(page, f"/images/{one}/edits")["undo"] == 1


COUNT = """
window.counts = { answers: 0, added: 0, touched: new Set() };
addEventListener('DOMContentLoaded', () => new MutationObserver((changes) => {
    for (const { target, addedNodes } of changes) {
        counts.added += addedNodes.length;
        counts.touched.add(target.closest('.tile') ?? target);
    }
}).observe(document.getElementById('tiles'), { subtree: true, childList: true, attributes: true }));
window.EventSource = class extends EventSource {
    constructor(address) {
        super(address);
        this.addEventListener('message', ({ data }) => {
            counts.answers += JSON.parse(data).kind === 'answer';
        });
    }
};
"""
"""Answers that the page heard of; in its list, nodes added and tiles that changed in any way."""
TAKE = """(() => {
    const { answers, added, touched } = counts;
    window.counts = { answers: 0, added: 0, touched: new Set() };
    return { answers, added, touched: touched.size };
})()"""
STEP = 400
"""Pixels a turn of the wheel."""


@pytest.mark.parametrize("count", [60, 500])
def test_scrolling_and_answers_change_what_is_in_sight_however_large_the_folder(
    page: Any, serve: Serve, tmp_path: Path, count: int
) -> None:
    """Counts alone: how long frames take is told by `benchmarks/app_scroll.py`."""
    page.context.add_init_script(COUNT)
    opened(page, serve(folder_of(tmp_path / "photos", count)))
    assert page.locator(".tile").count() == count
    paint_example(page)
    answered(page, 5)
    page.hover("#tiles")
    # Pictures are loaded up to 300 pixels outside the list's view; a step passes some more.
    near = page.evaluate(
        """step => {
            const [one, next] = document.querySelectorAll('.tile');
            const { top } = one.getBoundingClientRect();
            const height = document.getElementById('tiles').clientHeight + 2 * 300 + step;
            return Math.ceil(height / (next.getBoundingClientRect().top - top)) + 1;
        }""",
        STEP,
    )
    assert near < 20
    lists: list[str] = []
    page.on("request", lambda one: lists.append(one.url) if "/images?" in one.url else None)
    page.evaluate(TAKE)
    heard = 0
    for step in range(1, 21):
        page.mouse.wheel(0, STEP)
        until(page, "top => document.getElementById('tiles').scrollTop > top - 2", step * STEP)
        done = page.evaluate(TAKE)
        heard += done["answers"]
        # Scrolling adds nothing, and an answer what its tile says, two nodes; the list may tell of
        # one answer before the news does.
        assert done["added"] <= 2 * (done["answers"] + 1), done
        assert done["touched"] <= near + done["answers"] + 1, done
    until(page, "count => counts.answers >= count", max(10 - heard, 1))
    done = page.evaluate(TAKE)
    assert 0 < done["added"] <= 2 * (done["answers"] + 1), done
    assert done["touched"] <= near + done["answers"] + 1, done
    # The list as a whole is asked for as a round of answers begins and ends.
    assert len(lists) <= 2, lists


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(page: Any, serve: Serve, tmp_path: Path, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs vicl[browser]")
    page.emulate_media(color_scheme=scheme)
    opened(page, serve(folder_of(tmp_path / "photos", 3)))
    paint_example(page)
    answered(page, 2)
    page.keyboard.press("j")
    for button in (None, "#open-export", "#open-import", "#open-help", "#add-class"):
        if button:
            page.click(button)
        found = axe.Axe().run(page).response["violations"]
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        assert not serious, [
            (one["id"], [node["html"][:90] for node in one["nodes"]]) for one in serious
        ]
        if button:
            page.keyboard.press("Escape")


def test_a_second_example_brings_a_score_and_a_task_of_pictures_its_output(
    page: Any, serve: Serve, tmp_path: Path
) -> None:
    opened(page, serve(folder_of(tmp_path / "photos", 3)))
    page.keyboard.press("j")
    page.keyboard.press("m")  # neither marks nor an answer
    page.wait_for_selector("text=Mark a part of it first")
    page.keyboard.press("k")
    paint_example(page)
    answered(page, 2)
    page.keyboard.press("j")
    page.wait_for_selector("#this-facts strong")
    page.keyboard.press("m")
    page.wait_for_selector("#score .figure")
    assert "2 examples" in page.inner_text("#score")
    assert get(page, "/project")["counts"]["examples"] == 2
    page.select_option("#task", "edges")
    page.wait_for_selector("#output-part:not([hidden])")
    scene(tmp_path / "lines.png", 2)
    page.set_input_files("#output-file", str(tmp_path / "lines.png"))
    page.wait_for_selector("text=are an example now")
    answered(page, 2)


def test_what_two_tabs_could_not_send_is_sent_by_a_third(
    page: Any, serve: Serve, tmp_path: Path
) -> None:
    app = serve(folder_of(tmp_path / "photos", 1))
    # As where another machine opens the page over plain HTTP.
    page.context.add_init_script("delete Crypto.prototype.randomUUID")
    opened(page, app)
    other = page.context.new_page()
    opened(other, app)
    one = open_id(page)
    app.kill()
    drag(page, (60, 60), (90, 60))
    drag(other, (60, 160), (90, 160))
    until(other, "document.getElementById('saved').textContent.startsWith('1 to save')")
    third = page.context.new_page()
    page.close()
    other.close()
    app.start()
    opened(third, app)
    until(third, f"fetch('/v1/images/{one}/edits').then(r => r.json()).then(e => e.undo === 2)")
    saved(third)
    assert third.evaluate("localStorage.length") == 0
    drawn = marks(third, one)
    assert (drawn.getpixel((75, 60)), drawn.getpixel((75, 160))) == (1, 1)


def test_engines_that_do_not_come_with_the_package(page: Any, serve: Serve, tmp_path: Path) -> None:
    photos = folder_of(tmp_path / "photos", 2)
    own = photos / "vicl-project"
    own.mkdir()
    (own / "project.json").write_text(f'{{"engine": "{tmp_path}/theirs"}}')
    app = serve(photos)
    page.goto(app.address)
    page.wait_for_selector("dialog[open]")
    assert "only if you say so" in page.text_content("dialog")
    page.click("text=Load it")  # there is no such folder: a sentence, and nothing has changed
    page.wait_for_selector("#notes div")
    assert "theirs" in page.text_content("#notes")
    page.reload()
    page.click("text=Use the best for the task")
    until(page, "fetch('/v1/project').then(r => r.json()).then(p => p.engine === null)")
    page.select_option("#engine", "+")
    page.wait_for_selector("#engines tr")
    assert "BAAI/seggpt-vit-large" in page.text_content("#engines")
    page.fill("#engine-source", "/nowhere")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog .problem")
    page.fill("#engine-source", str(WEIGHTS / "default"))
    page.keyboard.press("Enter")
    until(page, "document.querySelector('dialog [role=status]').textContent.includes('answers')")
    page.screenshot(path=tmp_path / "engines.png")
    page.keyboard.press("Escape")
    assert page.eval_on_selector("#engine", "one => one.value") == str(WEIGHTS / "default")


def test_engines_are_compared_and_stopped(page: Any, serve: Serve, tmp_path: Path) -> None:
    app = serve(folder_of(tmp_path / "photos", 2))
    opened(page, app)
    page.uncheck("#live")
    paint_example(page)
    page.locator(".tile").nth(1).click()
    drag(page, (65, 84), (95, 84), (80, 100))
    saved(page)
    page.keyboard.press("m")
    until(page, "fetch('/v1/project').then(r => r.json()).then(p => p.counts.examples === 2)")
    page.select_option("#engine", "?")
    page.wait_for_selector("#try-all")
    assert "matching" in page.text_content("dialog")
    page.click("#try-all")
    until(page, "document.querySelectorAll('#tried tr').length >= 1")
    page.screenshot(path=tmp_path / "trying.png")
    if page.locator("#stop-trying").is_visible():
        page.click("#stop-trying")
        until(page, "document.getElementById('trying').textContent === 'Stopped.'")
    page.click("#try-all")
    until(page, "document.getElementById('trying').textContent === 'Done.'")
    until(page, "document.querySelectorAll('#tried tr').length === 3")
