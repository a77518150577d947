import pytest

from kzproxy.client.posture.commands import Said
from kzproxy.client.posture.finding import Unknowable
from kzproxy.client.posture.linux_screen import screen_lock
from tests.client.posture.machines import Answers

GNOME = {"XDG_CURRENT_DESKTOP": "ubuntu:GNOME"}
KDE = {"XDG_CURRENT_DESKTOP": "KDE"}
FILE = "/home/ana/.config/kscreenlockerrc"


def gsettings(enabled, idle, delay="uint32 0"):
    asked = {
        ("org.gnome.desktop.screensaver", "lock-enabled"): enabled,
        ("org.gnome.desktop.session", "idle-delay"): idle,
        ("org.gnome.desktop.screensaver", "lock-delay"): delay,
    }
    return Answers(
        {
            ("gsettings", "get", *words): Said(code=0, output=said + "\n")
            for words, said in asked.items()
        }
    )


def test_gnome_locks_after_idle_and_delay(tree):
    found = screen_lock(tree.machine(gsettings("true", "uint32 300", "uint32 30"), GNOME))

    assert (found.value, found.details) == (True, {"max_s": 330})


@pytest.mark.parametrize(("enabled", "idle"), [("false", "uint32 300"), ("true", "uint32 0")])
def test_gnome_that_never_locks_fails(tree, enabled, idle):
    assert screen_lock(tree.machine(gsettings(enabled, idle), GNOME)).value is False


@pytest.mark.parametrize("idle", ["", "uint32 many", "-5", "uint32 99999999999999"])
def test_odd_settings_cannot_be_told(tree, idle):
    with pytest.raises(Unknowable, match="number of seconds"):
        screen_lock(tree.machine(gsettings("true", idle), GNOME))


def test_a_setting_that_gnome_does_not_have_cannot_be_told(tree):
    answers = gsettings("true", "uint32 300")
    words = ("gsettings", "get", "org.gnome.desktop.session", "idle-delay")
    answers.said[words] = Said(code=1, output="")

    with pytest.raises(Unknowable, match="idle-delay"):
        screen_lock(tree.machine(answers, GNOME))


def test_kde_without_a_file_locks_as_it_does_by_default(tree):
    found = screen_lock(tree.machine(session=KDE))

    assert (found.value, found.details) == (True, {"max_s": 300})


@pytest.mark.parametrize(
    ("text", "value", "details"),
    [
        ("[Daemon]\nTimeout=10\nLockGrace=15\n", True, {"max_s": 615}),
        ("[Daemon]\nAutolock=false\n", False, {}),
        ("[Daemon]\nTimeout=0\n", False, {}),
        ("[Greeter]\nTheme=x\n", True, {"max_s": 300}),
    ],
)
def test_kde_locks_as_its_file_says(tree, text, value, details):
    tree.write(FILE, text)

    found = screen_lock(tree.machine(session=KDE))

    assert (found.value, found.details) == (value, details)


@pytest.mark.parametrize("text", ["[Daemon]\nTimeout=soon\n", "no section=1\n", "[Daemon\n"])
def test_an_odd_file_of_kde_cannot_be_told(tree, text):
    tree.write(FILE, text)

    with pytest.raises(Unknowable, match="cannot be understood"):
        screen_lock(tree.machine(session=KDE))


def logind(display="c2\n", desktop="plasmawayland\n", code=0):
    user = ("loginctl", "show-user", "--property=Display", "--value", "--", "1000")
    session = ("loginctl", "show-session", "--property=Desktop", "--value", "--", "c2")
    return Answers({user: Said(code=code, output=display), session: Said(code=0, output=desktop)})


def test_outside_of_the_desktop_it_is_the_one_that_the_user_has(tree):
    assert screen_lock(tree.machine(logind())).details == {"max_s": 300}

    answers = gsettings("true", "uint32 60")
    answers.said |= logind(desktop="ubuntu-xorg\n").said
    assert screen_lock(tree.machine(answers)).details == {"max_s": 60}


@pytest.mark.parametrize("display", ["", "\n", "a b", "-h", "x" * 99])
def test_whoever_has_no_desktop_session_cannot_tell(tree, display):
    with pytest.raises(Unknowable, match="no desktop session"):
        screen_lock(tree.machine(logind(display)))


def test_what_logind_does_not_know_cannot_be_told(tree):
    with pytest.raises(Unknowable, match="which desktop"):
        screen_lock(tree.machine(logind(desktop="\n")))
    with pytest.raises(Unknowable, match="no desktop session"):
        screen_lock(tree.machine(logind(code=1)))


def test_another_desktop_cannot_be_told(tree):
    with pytest.raises(Unknowable, match="does not know the settings of the desktop sway"):
        screen_lock(tree.machine(session={"XDG_CURRENT_DESKTOP": "sway"}))
