import pytest

from kzproxy.attributes.path import SLASHED_PATHS, read_path, resource_address
from kzproxy.errors.kinds import BadRequest, NotServed


@pytest.mark.parametrize("path", sorted(SLASHED_PATHS))
def test_a_listed_path_may_end_with_a_slash(path):
    read = read_path(path)
    assert (read.canonical, read.decoded, read.address, read.proxied) == (path, path, None, False)


@pytest.mark.parametrize(
    "path", ["/api/v1/", "/apis/apps/", "/apis/apps/v1/", "/apis/a-1.example/v1beta1/"]
)
def test_a_group_and_a_version_may_end_with_a_slash_which_is_judged_and_sent(path):
    """So the generated clients ask for them: AppsV1Api().get_api_resources()."""
    read = read_path(path)
    assert (read.canonical, read.decoded, read.address, read.proxied) == (path, path, None, False)


@pytest.mark.parametrize("path", ["/api/watch/", "/api/proxy/", "/apis/proxy/watch/"])
def test_a_version_with_a_slash_has_any_name(path):
    assert read_path(path).address is None


@pytest.mark.parametrize(
    "path",
    [
        "/healthz/",
        "/api/v1/pods/",
        "/apis/apps/v1/deployments/",
        "/a%70i/v1/",
        "/api/v%31/",
        "/apis/apps/v%31/",
        "/api/V1/",
        "/api/v1;a/",
        "/apis/[g]/",
        "/API/v1/",
    ],
)
def test_any_other_path_may_not(path):
    with pytest.raises(BadRequest, match="ends with a slash"):
        read_path(path)


@pytest.mark.parametrize("path", ["/api/v1//", "/api//", "/apis//v1/", "/apis/apps//"])
def test_a_second_slash_is_refused_there_too(path):
    with pytest.raises(BadRequest, match="two slashes"):
        read_path(path)


@pytest.mark.parametrize("path", ["/api/./", "/api/../", "/apis/apps/../", "/apis/%2e%2e/"])
def test_dots_before_a_slash_are_no_version(path):
    with pytest.raises(BadRequest, match="dot segment"):
        read_path(path)


@pytest.mark.parametrize(
    ("path", "decoded", "suffix"),
    [
        ("/api/v1/nodes/n/proxy", "/api/v1/nodes/n/proxy", ""),
        ("/api/v1/nodes/n/proxy/", "/api/v1/nodes/n/proxy", "/"),
        ("/api/v1/nodes/n/proxy//a/./%2f", "/api/v1/nodes/n/proxy", "//a/./%2f"),
        ("/api/v1/nodes/proxy/proxy/..", "/api/v1/nodes/proxy/proxy", "/.."),
        ("/api/v1/n%6fdes/n/p%72oxy/p%72oxy", "/api/v1/nodes/n/proxy", "/p%72oxy"),
        ("/api/v1/namespaces/a/pods/p/proxy/..", "/api/v1/namespaces/a/pods/p/proxy", "/.."),
        ("/apis/g/v1/namespaces/a/x/y/proxy/..", "/apis/g/v1/namespaces/a/x/y/proxy", "/.."),
    ],
)
def test_what_follows_proxy_is_left_as_it_is(path, decoded, suffix):
    read = read_path(path)
    assert read.proxied
    assert read.canonical == read.decoded == decoded + suffix
    assert read.address == resource_address(decoded[1:].split("/"))
    assert read.address.subresource == "proxy"


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/nodes/proxy",
        "/api/v1/namespaces/proxy",
        "/api/v1/namespaces/a/proxy",
        "/api/v1/namespaces/a/proxy/x",
        "/api/v1/namespaces/proxy/proxy/proxy",
        "/api/v1/namespaces/a/status/proxy",
        "/api/v1/nodes/n/status/proxy",
        "/apis/proxy/proxy/x/y",
        "/logs/a/b/c/proxy",
        "/apis/g/v1/namespaces/a/x/y/z/proxy",
    ],
)
def test_a_proxy_in_another_place_opens_no_suffix(path):
    """Were it taken for the subresource, the dots behind it would pass."""
    assert not read_path(path).proxied
    with pytest.raises(BadRequest, match="dot segment"):
        read_path(path + "/..")


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        ("/api/v1/nodes/n", "/api/v1/nodes/n"),
        ("/%61pi/v1/nodes/%6e", "/api/v1/nodes/n"),
        ("/api/v1/nodes/[n]%3f", "/api/v1/nodes/%5Bn%5D%3F"),
    ],
)
def test_a_path_is_spelt_in_one_way(path, canonical):
    assert read_path(path).canonical == canonical


@pytest.mark.parametrize("path", ["/api/v1/watch/pods", "/apis/g/v1/proxy/x", "/api/v1/w%61tch"])
def test_a_legacy_prefix_is_not_served(path):
    with pytest.raises(NotServed):
        read_path(path)


@pytest.mark.parametrize(
    "path", ["/apis/watch/v1", "/apis/g/watch", "/apis/watch/watch/pods", "/api/proxy/pods"]
)
def test_a_legacy_prefix_in_another_place_is_a_name(path):
    assert read_path(path).decoded == path


@pytest.mark.parametrize("segments", [["api"], ["api", "v1"], ["apis", "g", "v1"], ["x", "y", "z"]])
def test_what_is_too_short_or_elsewhere_addresses_no_resource(segments):
    assert resource_address(segments) is None
